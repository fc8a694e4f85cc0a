"Attention of many short rows: against the library's own, in every shape, and inside a model."
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

import extra_nb.fast.attention as attention
from extra_nb.fast.attention import ROWS, row_attention, rows_attend
from extra_nb.policy import Policy, recompute_activations, tiny_policy
from extra_nb.sampler import sample, logprobs_of
from extra_nb.types import Problem, Request


def inputs(B, H, g, L, n, D, dtype, seed=0):
    made = torch.Generator().manual_seed(seed)
    q, k, v, G = (torch.randn(B, h, m, D, generator=made, dtype=dtype) for h, m in ((H * g, L), (H, n), (H, n), (H * g, L)))
    padding = torch.randint(0, n - L + 1, (B,), generator=made)
    seen = torch.ones(B, 1, L, n, dtype=torch.bool).tril(n - L) & (torch.arange(n) >= padding[:, None, None, None])
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), seen, G


@pytest.mark.parametrize("at_a_time", [1, 1 << 8, 1 << 23])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1, 2), (2, 1, 3, 4, 4, 8), (5, 2, 1, 1, 9, 4), (7, 3, 3, 6, 11, 16), (4, 2, 7, 5, 30, 8)])
def test_equals_the_library(shape, at_a_time, monkeypatch):
    monkeypatch.setattr(attention, "SCORES", at_a_time)
    q, k, v, seen, G = inputs(*shape, torch.double)
    theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
    ours = row_attention(q, k, v, seen)
    assert_close(ours, theirs)
    for mine, other in zip(torch.autograd.grad(ours, (q, k, v), G), torch.autograd.grad(theirs, (q, k, v), G)): assert_close(mine, other)


def test_gradient_is_that_of_the_values():
    q, k, v, seen, _ = inputs(2, 1, 2, 3, 5, 4, torch.double)
    assert torch.autograd.gradcheck(lambda *x: row_attention(*x, seen, 0.7), (q, k, v))


def test_inputs_of_any_layout():
    q, k, v, seen, G = inputs(3, 2, 2, 4, 6, 8, torch.double)
    turned = [x.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_() for x in (q, k, v)]
    for got, expected in zip(torch.autograd.grad(row_attention(*turned, seen), turned, G), torch.autograd.grad(row_attention(q, k, v, seen), (q, k, v), G)):
        assert_close(got, expected)


def test_one_mask_for_all_rows():
    q, k, v, seen, _ = inputs(3, 2, 2, 4, 4, 8, torch.double)
    causal = torch.ones(1, 1, 4, 4, dtype=torch.bool).tril()
    assert_close(row_attention(q, k, v, causal), F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))


def gradients(policy, rollouts, **kwargs):
    policy.model.zero_grad()
    logprobs, entropies = logprobs_of(policy, rollouts, **kwargs)
    (logprobs * torch.linspace(-1, 1, len(logprobs))).sum().backward()
    return logprobs.detach(), entropies, torch.cat([p.grad.flatten() for p in policy.model.parameters()])


@pytest.fixture(scope="module")
def rollouts():
    policy = tiny_policy()
    requests = [Request(Problem(f"p{i}", "12+3=" + "4" * i, "0")) for i in range(3)]
    return [r for group in sample(policy, requests, 4, max_new_tokens=9) for r in group]


@pytest.mark.parametrize("share", [True, False])
def test_score_within_the_rounding_of_bf16(rollouts, share):
    exact = gradients(tiny_policy(), rollouts, share_contexts=share)
    policy = tiny_policy(compute_dtype="bf16")
    ours = gradients(policy, rollouts, share_contexts=share)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "_gains", lambda policy: False)
        usual = gradients(policy, rollouts, share_contexts=share)
    for mine, other, right in zip(ours, usual, exact):
        usual_error, error = (other - right).norm(), (mine - right).norm()
        assert 0 < error < 2 * usual_error + 1e-3 * right.norm()
    assert torch.equal(ours[2], usual[2]) != share  # rows that share a context are attended to in another way; rows of their own have no mask


@pytest.mark.parametrize("kind", ["fp32", "checkpointing", "eager"])
def test_left_alone(kind):
    policy = tiny_policy(compute_dtype="fp32" if kind == "fp32" else "bf16")
    if kind == "checkpointing": recompute_activations(policy.model)
    if kind == "eager": policy.model.set_attn_implementation("eager")
    before = policy.base.config._attn_implementation
    with rows_attend(policy): assert policy.base.config._attn_implementation == before != ROWS


def test_bf16_weights_and_dropout(rollouts, monkeypatch):
    policy = tiny_policy()
    policy.model.to(torch.bfloat16)
    used = []
    monkeypatch.setattr(attention, "row_attention", lambda *args: used.append(args[0].dtype) or row_attention(*args))
    logprobs_of(policy, rollouts)
    assert used and set(used) == {torch.bfloat16}
    used.clear()
    for layer in policy.model.model.layers: layer.self_attn.attention_dropout = 0.5
    policy.model.train()
    logprobs_of(policy, rollouts)
    assert not used


def test_adapter(rollouts):
    peft = pytest.importorskip("peft")
    tiny = tiny_policy()
    model = peft.get_peft_model(tiny.model, peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    policy = Policy(model, tiny.tokenizer, template="plain", compute_dtype="bf16")
    with rows_attend(policy): assert policy.base.config._attn_implementation == ROWS
    logprobs_of(policy, rollouts)[0].sum().backward()
    assert policy.base.config._attn_implementation == "sdpa"
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
