"Recomputed activations give the same gradient in evaluation mode, and freed memory is kept."
import subprocess
import sys

import policies
import pytest
import torch
from families import FORGETFUL, IDS, TOKENIZER, gradient, load, model_of, rollouts_of, saved
from torch.testing import assert_close

from extra_nb.models.compute import recompute_activations
from extra_nb.models.lora import add_lora
from extra_nb.policy import Policy, tiny_policy
from extra_nb.sampler import recompute, sample, logprobs_of
from extra_nb.tasks import arithmetic, worked_solution
from extra_nb.train import Trainer, warm_start
from extra_nb.types import InputError, Problem, Request, Verdict

PROBLEM = Problem("p", "3+5", "8")


@pytest.mark.parametrize("made", [lambda: tiny_policy(seed=2), lambda: policies.adapted(0.1)], ids=["full", "lora"])
def test_gradient_checkpointing_changes_nothing(made):
    policy = made()
    rollouts = list(sample(policy, [Request(PROBLEM)], 3, max_new_tokens=9)[0])

    def gradient(checkpointing):
        policy.model.zero_grad()
        logprobs_of(policy, rollouts, share_contexts=not checkpointing)[0].sum().backward()
        return torch.cat([p.grad.flatten() for p in policy.model.parameters() if p.requires_grad])

    usual = gradient(False)
    recompute_activations(policy.model)
    policy.model.train()
    assert_close(gradient(True), usual, atol=1e-4, rtol=1e-4)
    assert any(getattr(m, "gradient_checkpointing", False) for m in policy.base.modules())


@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("name", FORGETFUL)
def test_activations_are_recomputed_without_dropout(name, adapter, monkeypatch):
    policy = Policy(add_lora(model_of(*FORGETFUL[name]), 4, 8.0, False, 0) if adapter else model_of(*FORGETFUL[name]), TOKENIZER, template="plain")
    if adapter:
        for n, m in policy.model.named_modules():
            if n.endswith("lora_dropout"): m["default"] = torch.nn.Dropout(0.3).eval()
    rollouts = rollouts_of(policy)
    usual, grads = gradient(policy, rollouts)
    entered, checkpoint = [], torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(torch.utils.checkpoint, "checkpoint", lambda *args, **kwargs: entered.append(1) or checkpoint(*args, **kwargs))
    recompute_activations(policy.model)
    policy.model.train()  # whatever somebody calls
    logprobs, again = gradient(policy, rollouts)
    assert len(entered) == 2
    assert_close(logprobs, torch.cat([r.logprobs for r in rollouts]), atol=1e-4, rtol=0)
    assert_close(logprobs, usual, atol=1e-5, rtol=0)
    assert again.keys() == grads.keys()
    for n in grads: assert_close(again[n], grads[n], atol=1e-5, rtol=1e-4)


def test_recomputing_keeps_less():
    "What autograd keeps between the passes, in bytes."
    policy, kept = tiny_policy(layers=6), {}

    def held(tensor):
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    def total():
        kept.clear()
        ids = torch.randint(4, 60, (8, 64), generator=torch.Generator().manual_seed(0))
        with torch.autograd.graph.saved_tensors_hooks(held, lambda t: t):
            loss = policy.model(input_ids=ids, use_cache=False).logits.logsumexp(-1).sum()
            size = sum(kept.values())
        loss.backward()
        return size

    usual = total()
    recompute_activations(policy.model)
    assert total() < usual / 2


def test_a_copy_recomputes_its_own_layers():
    from copy import deepcopy

    policy = tiny_policy()
    recompute_activations(policy.model)
    other = deepcopy(policy.model)
    with torch.no_grad():
        for p in other.model.layers.parameters(): p.mul_(2)
    other(IDS).logits.sum().backward()
    assert all(p.grad is not None for p in other.model.layers.parameters()) and all(p.grad is None for p in policy.model.parameters())
    assert (other(IDS).logits - policy.model(IDS).logits).abs().max() > 1e-3


def test_a_model_that_transformers_cannot_checkpoint():
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, x): return torch.nn.functional.dropout(self.linear(x), 0.5, self.training)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList(Block() for _ in range(3))

        def activation_checkpointing_enable(self, kwargs): raise ValueError("not supported")

        def forward(self, x):
            for block in self.blocks: x = block(x)
            return x

    model, x = Model(), torch.ones(1, 4)
    recompute_activations(model)
    assert_close(model(x), model.train()(x))
    with pytest.raises(InputError, match="list of layers"): recompute_activations(torch.nn.Linear(2, 2))


class Judge:
    def judge(self, problems, responses): return [Verdict(i % 2 == 0, "wrong" if i % 2 else "correct") for i in range(len(responses))]


@pytest.mark.parametrize("name", ["gpt2", "mixtral", "starcoder2"])
def test_the_first_step_starts_where_it_sampled(name):
    policy = Policy(model_of(*FORGETFUL[name]), TOKENIZER, template="plain")
    trainer = Trainer(policy, arithmetic(4, (2, 2)), verifier=Judge(), say=None, steps=1, problems_per_step=4, group_size=4, max_new_tokens=8, gradient_checkpointing=True)
    assert trainer.step()["loss/logprob_drift"] < 1e-4


@pytest.mark.parametrize("name", ["gpt2", "starcoder2"])
def test_a_policy_with_an_adapter_samples_what_it_scores(name, tmp_path):
    policy, _ = load(saved(tmp_path, *FORGETFUL[name]), adapter="lora")
    assert not any(m.training for m in policy.model.modules())
    rollout = rollouts_of(policy)[0]
    assert_close(recompute(policy, rollout)[0], rollout.logprobs, atol=1e-4, rtol=0)
    assert not any(m.training for m in policy.model.modules())


def test_a_model_in_training_mode_becomes_a_policy_in_evaluation_mode():
    assert not any(m.training for m in Policy(model_of(*FORGETFUL["gpt2"]).train(), TOKENIZER, template="plain").model.modules())


def test_equal_warm_starts_with_an_adapter_end_alike(tmp_path):
    saved(tmp_path, *FORGETFUL["gpt2"])

    def end(state):
        torch.manual_seed(state)  # what the process happened to do before must not matter
        policy, _ = load(tmp_path, adapter="lora", lora_rank=4)
        warm_start(policy, [(p, worked_solution(p)) for p in arithmetic(4, (2, 2))], 3, 4, 1e-2)
        return {n: p for n, p in policy.model.named_parameters() if p.requires_grad}

    one, other = end(0), end(1)
    for n in one: assert_close(one[n], other[n], atol=0, rtol=0)


def test_freed_memory_is_kept():
    "After the wish, tensors that come and go cost hardly a page fault; without glibc nothing happens."
    program = """
import resource, torch
from extra_nb.models.compute import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20): torch.empty(1 << 20).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain, asked = faults(), keep_freed_memory()
faults()
print(asked, plain, faults())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked, plain, kept = done.stdout.split()
    if asked == "True": assert int(kept) < int(plain) / 10
