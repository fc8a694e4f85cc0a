"""The same tensors through TRL's own GRPO code and through ours: advantages, loss and gradient must agree.

TRL's methods are called on a bare object that carries only the settings they read; no formula is typed a second time here.
"""
import itertools
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from torch import tensor
from torch.testing import assert_close

from extra_nb.grpo import group_advantage, kl_penalty, policy_loss, soft_overlong_penalty, token_weights

pytest.importorskip("trl", reason="needs trl, a development requirement, to compare with; it is not installed")
from trl import GRPOTrainer
from trl.rewards import get_soft_overlong_punishment

LENGTHS, G, MAX_LENGTH = tensor([5, 1, 3, 4, 2, 5, 4, 1]), 4, 6  # two groups of four; no row is as long as the limit
B, T = len(LENGTHS), int(LENGTHS.max())
MASK = torch.arange(T) < LENGTHS[:, None]  # (B, T)
AVERAGE = {"grpo": dict(average="sequence"), "bnpo": dict(average="token"), "dapo": dict(average="token"),
           "dr_grpo": dict(average="constant", constant_length=MAX_LENGTH)}


def batch(seed=0):
    "Log-probabilities whose ratios reach every branch of the loss. The padding holds large values, to be seen if it leaks."
    gen = torch.Generator().manual_seed(seed)
    old = -3 * torch.rand(B, T, generator=gen, dtype=torch.float64)
    ratio = tensor([0.5, 0.85, 1.0, 1.24, 1.35, 3.0, 20.0], dtype=torch.float64)[torch.randint(0, 7, (B, T), generator=gen)]
    ref = -3 * torch.rand(B, T, generator=gen, dtype=torch.float64)
    new, old, ref = (x.masked_fill(~MASK, value) for x, value in ((old + ratio.log(), 5.0), (old, 3.0), (ref, 4.0)))
    advantages = tensor([1.5, -0.5, -0.5, -0.5, 0.8, -1.2, 0.4, 0.0], dtype=torch.float64)
    return new, old, ref, advantages


def trl_self(loss_type="grpo", beta=0.0, low=0.2, high=0.28, delta=None, bias_correction=False, **extra):
    "The settings that `GRPOTrainer._compute_loss` and `_generate_and_score_completions` read, and nothing else."
    accelerator = SimpleNamespace(num_processes=1, process_index=0, device="cpu", gather=lambda x: x, reduce=lambda x, reduction: x)
    args = SimpleNamespace(delta=delta, use_bias_correction_kl=bias_correction, steps_per_generation=1, gradient_accumulation_steps=1,
                           per_device_train_batch_size=B, gradient_checkpointing_kwargs=None)
    settings = dict(loss_type=loss_type, beta=beta, epsilon_low=low, epsilon_high=high, args=args, accelerator=accelerator,
                    model=SimpleNamespace(training=True, is_gradient_checkpointing=False), aux_loss_enabled=False, top_entropy_quantile=1.0,
                    off_policy_mask_threshold=None, importance_sampling_level="token", use_vllm=False,
                    vllm_importance_sampling_correction=False, current_gradient_accumulation_steps=1,
                    max_completion_length=MAX_LENGTH, _entropy_bonus_enabled=False,
                    _metrics={"train": defaultdict(list)})
    return SimpleNamespace(**(settings | extra))


def trl_loss(logprobs, old, ref, advantages, mask=MASK, **settings):
    this = trl_self(**settings)
    this._get_per_token_logps_and_entropies = lambda *args, **kwargs: (logprobs, torch.zeros_like(logprobs), None)
    ids = torch.zeros(len(mask), mask.shape[1], dtype=torch.long)
    inputs = {"prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1] + 1, "completion_ids": ids, "completion_mask": mask.long(),
              "advantages": advantages, "old_per_token_logps": old, "ref_per_token_logps": ref, "num_items_in_batch": mask.sum()}
    return GRPOTrainer._compute_loss(this, None, inputs), this._metrics["train"]


def our_loss(logprobs, old, ref, advantages, lengths=LENGTHS, keep=None, loss_type="grpo", beta=0.0, low=0.2, high=0.28, delta=None,
             bias_correction=False):
    mask = torch.arange(T) < lengths[:, None]
    flat = lambda x: x[mask]  # rows end to end
    weights = torch.repeat_interleave(token_weights(lengths, keep=keep, **AVERAGE[loss_type]), lengths).double()
    loss, info = policy_loss(flat(logprobs), flat(old), torch.repeat_interleave(advantages, lengths), weights,
                             clip_low=low, clip_high=high, dual_clip=delta)
    kl = kl_penalty(flat(logprobs), flat(ref), "k3")
    if bias_correction: kl = kl * (flat(logprobs) - flat(old)).exp()
    return loss + beta * (weights * kl).sum(), info


def both(**settings):
    new, old, ref, advantages = batch()
    found = []
    for loss in (trl_loss, our_loss):
        x = new.clone().requires_grad_()
        value, info = loss(x, old, ref, advantages, **settings)
        found.append((value, torch.autograd.grad(value, x)[0], info))
    return found


CLIPS = [dict(low=0.2, high=0.2), dict(low=0.2, high=0.28), dict(low=0.1, high=0.5, delta=10.0), dict(low=0.2, high=0.28, delta=2.0)]


@pytest.mark.parametrize("loss_type", AVERAGE)
@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize("kl", [dict(beta=0.0), dict(beta=0.04), dict(beta=0.04, bias_correction=True)], ids=str)
def test_loss_and_gradient(loss_type, clip, kl):
    (theirs, their_grad, _), (ours, our_grad, _) = both(loss_type=loss_type, **clip, **kl)
    assert_close(ours, theirs, atol=1e-6, rtol=1e-6)  # the weights are float32
    assert_close(our_grad, their_grad, atol=1e-6, rtol=1e-6)
    assert our_grad[~MASK].abs().max() == 0


def test_settings_matter():
    "If two of the compared settings gave the same loss here, agreement on them would prove nothing."
    settings = [dict(loss_type=t, **c, **k) for t, c, k in itertools.product(
        ("grpo", "dapo", "dr_grpo"), CLIPS, (dict(beta=0.0), dict(beta=0.04), dict(beta=0.04, bias_correction=True)))]
    values = sorted(both(**s)[1][0].item() for s in settings)
    assert min(b - a for a, b in zip(values, values[1:])) > 1e-4


def test_clip_fractions():
    (_, _, metrics), (_, _, info) = both(loss_type="dapo")
    assert info["clipped_low"] > 0 and info["clipped_high"] > 0
    assert info["clipped_low"] / info["tokens"] == pytest.approx(metrics["clip_ratio/low_mean"][0])
    assert info["clipped_high"] / info["tokens"] == pytest.approx(metrics["clip_ratio/high_mean"][0])


@pytest.mark.parametrize("loss_type", AVERAGE)
def test_empty_rows_stay_in_their_count(loss_type):
    "The callout of 04_grpo: TRL still divides by rows that it emptied; we do not. Token means agree anyway."
    new, old, ref, advantages = batch()
    keep = tensor([True, True, False, True, False, True, True, True])
    theirs, _ = trl_loss(new, old, ref, advantages, mask=MASK & keep[:, None], loss_type=loss_type)
    ours, _ = our_loss(new, old, ref, advantages, keep=keep, loss_type=loss_type)
    share = 1 if loss_type in ("dapo", "bnpo") else keep.float().mean().double()
    assert_close(ours * share, theirs, atol=1e-6, rtol=1e-6)


def scored(rewards, scale_rewards):
    "Run TRL from rewards to the inputs of its loss, with generation and reward functions replaced by what they returned."
    n = rewards.numel()
    rows = [[1] * int(length) for length in LENGTHS[:n]]
    this = trl_self(environment_factories=None, environments=None, tools=None, chat_template_kwargs={}, pad_to_multiple_of=None,
                    _tokenizer=SimpleNamespace(pad_token_id=0), eos_token_ids=[1], mask_truncated_completions=False, num_iterations=1,
                    num_generations=rewards.shape[1], multi_objective_aggregation="sum_then_normalize", scale_rewards=scale_rewards,
                    reward_weights=torch.ones(1), reward_func_names=["r"], _logs=defaultdict(list) | {"rewards": defaultdict(list)},
                    _pending_extra_logs={}, _pending_metrics={}, log_multimodal=False, _is_vlm=False)
    this._generate = lambda prompts: ([[7]] * n, rows, None, ["x"] * n, None, {}, None, None)
    this._calculate_rewards = lambda *args: rewards.reshape(-1, 1).clone()
    return GRPOTrainer._generate_and_score_completions(this, [{"prompt": "p"}] * n)


REWARDS = [tensor([[1.0, 0, 0, 0], [1, 1, 1, 1]]), tensor([[0.0, 0, 0, 0], [1, 0, 1, 1]]),
           tensor([[1.0, -0.5, 0.25, 0], [0.9, 0.1, 0.3, 0.3]])]


@pytest.mark.parametrize("rewards", REWARDS)
@pytest.mark.parametrize("theirs, ours", [("group", "std"), ("none", "none")])
def test_advantages(rewards, theirs, ours):
    assert_close(group_advantage(rewards, eps=1e-4, scale=ours).flatten(), scored(rewards, theirs)["advantages"], atol=1e-6, rtol=1e-6)


def test_epsilon_differs():
    "TRL adds 1e-4 where we (and verl, and ExTra's release) add 1e-6: seen in the fourth digit, and only there."
    rewards = REWARDS[0]
    theirs = scored(rewards, "group")["advantages"].view(2, 4)
    assert 1e-4 < (group_advantage(rewards) - theirs).abs().max() < 1e-3


@pytest.mark.parametrize("max_length, buffer", [(100, 20), (100, 100), (7, 1)])
def test_overlong_penalty(max_length, buffer):
    lengths = torch.arange(1, 2 * max_length)
    theirs = get_soft_overlong_punishment(max_length, buffer)([[0] * int(n) for n in lengths])
    assert_close(soft_overlong_penalty(lengths, max_length, buffer), tensor(theirs, dtype=torch.float32))
