"""Advantages, averages, clipped loss and KL on many inputs, and the same checks on formulas that are wrong on purpose."""
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor
from torch.testing import assert_close

import extra_nb.grpo as grpo
from extra_nb.mechanisms import Mechanism
from extra_nb.grpo import (
    zero_variance_probability,
    group_advantage,
    group_shares,
    kl_penalty,
    policy_loss,
    soft_overlong_penalty,
    token_weights,
)
from extra_nb.types import InputError, generator

seeds = st.integers(0, 2**31)
groups = st.integers(2, 9).flatmap(lambda g: st.lists(st.lists(st.floats(-2, 2, width=32), min_size=g, max_size=g), min_size=1, max_size=4))


# advantages

def test_hand_made_advantages():
    found = group_advantage(tensor([[1.0, 0, 0, 0], [1, 1, 1, 1]]))
    assert_close(found, tensor([[1.5, -0.5, -0.5, -0.5], [0, 0, 0, 0]]), atol=1e-5, rtol=0)
    assert_close(group_advantage(tensor([[1.0, 0, 0, 0]]), scale="none"), tensor([[0.75, -0.25, -0.25, -0.25]]))


@given(groups)
@settings(max_examples=100, deadline=None)
def test_advantages_against_python(rows):
    "Two nested loops in plain Python, in double precision."
    ours = group_advantage(tensor(rows, dtype=torch.float64))
    for row, found in zip(rows, ours.tolist()):
        mean = math.fsum(row) / len(row)
        std = math.sqrt(math.fsum((r - mean) ** 2 for r in row) / (len(row) - 1))
        for r, a in zip(row, found): assert a == pytest.approx((r - mean) / (std + 1e-6), abs=1e-6)


@given(groups, seeds)
@settings(max_examples=50, deadline=None)
def test_a_group_is_judged_alone_and_in_any_order(rows, seed):
    rewards = tensor(rows, dtype=torch.float64)
    order = torch.randperm(rewards.shape[1], generator=generator(seed))
    assert_close(group_advantage(rewards[:, order]), group_advantage(rewards)[:, order])
    assert_close(group_advantage(rewards[:1]), group_advantage(rewards)[:1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("G", [2, 3, 6, 7, 8, 13, 64])
@pytest.mark.parametrize("scale", ["std", "none"])
def test_equal_rewards_give_exact_zeros(dtype, G, scale):
    rewards = torch.linspace(-1, 1, 41, dtype=dtype)[:, None].expand(41, G)
    assert (group_advantage(rewards, scale=scale) == 0).all()


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_whole_number_rewards(dtype):
    assert_close(group_advantage(tensor([[1, 0, 0, 0]]).to(dtype)), tensor([[1.5, -0.5, -0.5, -0.5]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("rewards, said", [(torch.ones(3, 1), "G=1"), (torch.ones(4), "(4,)"), (torch.ones(2, 2, 2), "(N, G)"),
                                           (tensor([[1.0, math.inf]]), "inf"), (tensor([[1.0, math.nan]]), "nan")])
def test_refused_rewards(rewards, said):
    for f in (group_advantage, group_shares):
        with pytest.raises(InputError) as e: f(rewards)
        assert said in str(e.value) and "\n" not in str(e.value)


def test_unknown_names_say_what_is_known():
    for call, known in ((lambda: group_advantage(torch.ones(1, 2), scale="batch"), "std"),
                        (lambda: token_weights(tensor([1]), "mean"), "sequence"),
                        (lambda: kl_penalty(torch.zeros(1), torch.zeros(1), "k4"), "k3")):
        with pytest.raises(InputError, match=f"known: .*{known}"): call()


# zero-variance groups

@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("G", [2, 3, 6])
def test_dead_groups_by_enumeration(p, G):
    total = sum(math.prod(p if bit == "1" else 1 - p for bit in f"{n:0{G}b}") for n in (0, 2**G - 1))
    assert zero_variance_probability(p, G) == pytest.approx(total)


def test_dead_groups_are_what_group_shares_counts():
    rewards = (torch.rand(20_000, 4, generator=generator("dead")) < 0.3).float()
    shares = group_shares(rewards)
    assert sum(shares.values()) == pytest.approx(1)
    # standard deviation of the share: 0.003
    assert 1 - shares["groups/mixed"] == pytest.approx(zero_variance_probability(0.3, 4), abs=0.02)
    assert shares["groups/all_wrong"] > shares["groups/all_correct"]


@pytest.mark.parametrize("p", [-0.1, 1.01, math.nan, tensor([0.5, 2.0])])
def test_pass_rate_outside_its_range(p):
    with pytest.raises(InputError, match=r"\[0, 1\]"): zero_variance_probability(p, 4)


# length penalty

@given(st.integers(1, 500), st.data())
@settings(max_examples=50, deadline=None)
def test_overlong_penalty_by_cases(max_length, data):
    buffer = data.draw(st.integers(1, max_length))
    lengths = list(range(1, max_length + 20))
    for n, found in zip(lengths, soft_overlong_penalty(tensor(lengths), max_length, buffer).tolist()):
        start = max_length - buffer
        expected = 0 if n <= start else -1 if n > max_length else (start - n) / buffer
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("buffer", [0, -3, 101])
def test_overlong_buffer_must_fit(buffer):
    with pytest.raises(InputError, match=str(buffer)): soft_overlong_penalty(tensor([1]), 100, buffer)


# averages

AVERAGES = [dict(average="token"), dict(average="sequence"), dict(average="constant", constant_length=9)]
lengths_and_keep = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=8)


@given(lengths_and_keep, st.sampled_from(AVERAGES))
@settings(max_examples=100, deadline=None)
def test_weights_against_lists(rows, average):
    "The mean as one would write it with nested lists; rows that are not kept are not in the lists."
    values = [[i + 0.1 * t for t in range(n)] for i, (n, _) in enumerate(rows)]
    lengths, keep = tensor([n for n, _ in rows]), tensor([k for _, k in rows])
    ours = sum(w * v for w, row in zip(token_weights(lengths, keep=keep, **average).tolist(), values) for v in row)
    kept = [row for row, (_, k) in zip(values, rows) if k]
    if not kept: assert ours == 0; return
    expected = {"token": lambda: sum(map(sum, kept)) / sum(map(len, kept)),
                "sequence": lambda: sum(sum(r) / len(r) for r in kept) / len(kept),
                "constant": lambda: sum(sum(r) / 9 for r in kept) / len(kept)}[average["average"]]()
    assert ours == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("bad", [dict(average="constant"), dict(average="token", constant_length=5), dict(keep=torch.ones(3, 1) > 0)])
def test_refused_weights(bad):
    with pytest.raises(InputError): token_weights(tensor([1, 2, 3]), **bad)


def test_an_empty_response_does_no_harm():
    weights = token_weights(tensor([0, 4]), "sequence")
    assert weights.isfinite().all() and weights[1] == pytest.approx(1 / 8)


# the loss

def loss_inputs(seed=0, n=40, spread=0.5):
    gen = generator(seed, "loss")
    old = -torch.rand(n, generator=gen, dtype=torch.float64) * 3
    new = old + spread * torch.randn(n, generator=gen, dtype=torch.float64)
    return new, old, torch.randn(n, generator=gen, dtype=torch.float64), torch.rand(n, generator=gen, dtype=torch.float64)


def slow_loss(new, old, advantages, weights, low, high, dual):
    "Token by token, with the dual clip as its paper writes it: for A < 0, max(min(ratio A, clip A), c A)."
    total, gradient = 0.0, []
    for x, o, a, w in zip(*(v.tolist() for v in (new, old, advantages, weights))):
        ratio = math.exp(x - o)
        objective = min(ratio * a, min(max(ratio, 1 - low), 1 + high) * a)
        if a < 0 and dual is not None: objective = max(objective, dual * a)
        total -= w * objective
        gradient.append(-w * a * ratio if math.isclose(objective, ratio * a, abs_tol=1e-15) else 0.0)
    return total, gradient


@given(seeds, st.sampled_from([None, 1.5, 10.0]), st.sampled_from([0.1, 0.2]), st.sampled_from([0.2, 0.28]),
       st.sampled_from([0.0, 0.3, 2.0]))
@settings(max_examples=100, deadline=None)
def test_loss_and_gradient_token_by_token(seed, dual, low, high, spread):
    new, old, advantages, weights = loss_inputs(seed, spread=spread)
    new = new.requires_grad_()
    loss, _ = policy_loss(new, old, advantages, weights, clip_low=low, clip_high=high, dual_clip=dual)
    expected, gradient = slow_loss(new.detach(), old, advantages, weights, low, high, dual)
    assert loss.item() == pytest.approx(expected)
    assert_close(torch.autograd.grad(loss, new)[0], tensor(gradient, dtype=torch.float64))


@given(seeds, st.integers(2, 30), st.floats(0.01, 5))
@settings(max_examples=30, deadline=None)
def test_gradient_in_the_logits_is_minus_A_times_onehot_minus_p(seed, vocabulary, scale):
    gen = generator(seed, "logits")
    z = (scale * torch.randn(6, vocabulary, generator=gen, dtype=torch.float64)).requires_grad_()
    y = torch.randint(0, vocabulary, (6,), generator=gen)
    A = torch.randn(6, generator=gen, dtype=torch.float64)
    logprobs = z.log_softmax(1)[torch.arange(6), y]
    loss, _ = policy_loss(logprobs, logprobs, A, torch.ones(6, dtype=torch.float64))
    onehot = torch.nn.functional.one_hot(y, vocabulary)
    assert_close(torch.autograd.grad(loss, z)[0], -A[:, None] * (onehot - z.detach().softmax(1)), atol=1e-13, rtol=0)


@given(seeds, st.lists(st.integers(1, 12), min_size=2, max_size=8), st.sampled_from(AVERAGES), st.data())
@settings(max_examples=50, deadline=None)
def test_micro_batches_equal_one_batch(seed, lengths, average, data):
    new, old, advantages, _ = loss_inputs(seed, sum(lengths))
    keep = tensor(data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths))))
    weights = torch.repeat_interleave(token_weights(tensor(lengths), keep=keep, **average), tensor(lengths))
    new, rows = new.requires_grad_(), torch.arange(sum(lengths)).split(lengths)
    big, info = policy_loss(new, old, advantages, weights)
    at = data.draw(st.integers(1, len(lengths) - 1))
    parts = [policy_loss(new[i], old[i], advantages[i], weights[i]) for i in (torch.cat(rows[:at]), torch.cat(rows[at:]))]
    assert_close(sum(loss for loss, _ in parts), big)
    assert_close(torch.autograd.grad(sum(loss for loss, _ in parts), new)[0], torch.autograd.grad(big, new)[0])
    assert info == {name: sum(other[name] for _, other in parts) for name in info}
    assert info["tokens"] == sum(n for n, k in zip(lengths, keep) if k)


def test_no_gradient_but_through_logprobs():
    inputs = [x.requires_grad_() for x in loss_inputs()]
    loss, _ = policy_loss(*inputs)
    loss.backward()
    assert inputs[0].grad is not None and all(x.grad is None for x in inputs[1:])


@pytest.mark.parametrize("gap", [50.0, 800.0, -800.0])
@pytest.mark.parametrize("A", [1.0, -1.0])
@pytest.mark.parametrize("dual", [10.0, None])
def test_wild_ratios_stay_finite(gap, A, dual):
    new = tensor([gap]).requires_grad_()
    loss, _ = policy_loss(new, torch.zeros(1), tensor([A]), torch.ones(1), dual_clip=dual)
    assert loss.isfinite() and torch.autograd.grad(loss, new)[0].isfinite().all()


def test_shapes_that_would_broadcast_are_refused():
    ones = torch.ones(4)
    for wrong in (torch.ones(1), torch.ones(4, 1), torch.ones(5), torch.ones(())):
        for at in range(4):
            args = [ones] * 4
            args[at] = wrong
            with pytest.raises(InputError, match="one shape"): policy_loss(*args)
    with pytest.raises(InputError, match="1.1"): policy_loss(ones, ones, ones, ones, dual_clip=1.1)


def test_an_empty_micro_batch_costs_nothing():
    loss, info = policy_loss(torch.zeros(0), torch.zeros(0), torch.zeros(0), torch.zeros(0))
    assert loss == 0 and set(info.values()) == {0.0}


# KL

@given(seeds, st.integers(2, 12))
@settings(max_examples=50, deadline=None)
def test_kl_means_and_gradients(seed, vocabulary):
    gen = generator(seed, "kl")
    z, ref = (torch.randn(vocabulary, generator=gen, dtype=torch.float64) for _ in range(2))
    lp, ref = z.requires_grad_().log_softmax(0), ref.log_softmax(0)
    p = lp.exp().detach()
    kl, forward = (lp.exp() * (lp - ref)).sum(), (ref.exp() * (ref - lp)).sum()
    k1, k2, k3 = (kl_penalty(lp, ref, kind) for kind in ("k1", "k2", "k3"))
    assert_close((p * k1).sum(), kl)
    assert_close((p * k3).sum(), kl)
    assert (k2 >= 0).all() and (k3 >= 0).all()
    gradient = lambda x: torch.autograd.grad(x, z, retain_graph=True)[0]
    assert_close(gradient((p * k1).sum()), torch.zeros_like(z))
    assert_close(gradient((p * k2).sum()), gradient(kl))
    assert_close(gradient((p * k3).sum()), gradient(forward))


@pytest.mark.parametrize("kind", ["k1", "k2", "k3"])
def test_kl_is_zero_at_the_reference_and_trains_only_the_policy(kind):
    lp, ref = (-torch.rand(5, generator=generator("kl"))).requires_grad_(), torch.zeros(5, requires_grad=True)
    assert_close(kl_penalty(lp, lp, kind), torch.zeros(5))
    kl_penalty(lp, ref, kind).sum().backward()
    assert lp.grad is not None and ref.grad is None


# mechanisms

def test_a_mechanism_does_nothing_until_told():
    m = Mechanism()
    assert m.setup(None, None) is None and m.plan(1, 5) == [] and m.reward(1, []) == {} and m.advantage(1, [], torch.zeros(0, 2)) is None
    assert m.step_end(1, []) == {} and m.state_dict() == {} and m.load_state_dict({}) is None


# planted faults: the hand-made checks of the notebook must notice each of these wrong formulas

def hand_checks():
    "The numbers that 04_grpo shows to its reader. Reads the functions through the module, so that a fault can be planted there."
    rewards = tensor([[1.0, 0, 0, 0], [1, 1, 1, 1]])
    assert_close(grpo.group_advantage(rewards), tensor([[1.5, -0.5, -0.5, -0.5], [0, 0, 0, 0]]), atol=1e-5, rtol=0)
    lengths, losses = tensor([1, 3]), tensor([1.0, 2, 2, 2])
    means = [(torch.repeat_interleave(grpo.token_weights(lengths, a, n), lengths) * losses).sum()
             for a, n in (("token", None), ("sequence", None), ("constant", 3))]
    assert_close(torch.stack(means), tensor([7 / 4, 3 / 2, 7 / 6]))
    assert_close(grpo.token_weights(tensor([1, 3, 100]), "sequence", keep=tensor([True, True, False])), tensor([1 / 2, 1 / 6, 0.0]))
    logprobs = tensor([0.5, 1.5, 12, 0.5, 1.5, 12]).log().requires_grad_()
    loss, _ = grpo.policy_loss(logprobs, torch.zeros(6), tensor([1.0, 1, 1, -1, -1, -1]), torch.ones(6))
    assert_close(torch.autograd.grad(loss, logprobs)[0], tensor([-0.5, 0, 0, 0, 1.5, 0]))
    assert_close(grpo.soft_overlong_penalty(tensor([1, 80, 85, 100, 120]), 100, 20), tensor([0.0, 0, -0.25, -1, -1]))
    lp, ref = tensor([0.6, 0.3, 0.1]).log(), tensor([0.2, 0.5, 0.3]).log()
    kl = (lp.exp() * (lp - ref)).sum()
    assert_close((lp.exp() * grpo.kl_penalty(lp, ref)).sum(), kl)
    assert (grpo.kl_penalty(lp, ref) > 0).all()


def test_hand_checks_pass(): hand_checks()


def loss_with(objective):
    def policy_loss(logprobs, old, A, w, clip_low=0.2, clip_high=0.28, dual_clip=10.0):
        ratio = (logprobs - old).exp()
        return -(w * objective(ratio, ratio.clamp(1 - clip_low, 1 + clip_high), A)).sum(), {}
    return policy_loss


def weights_with(f): return lambda n, average="token", length=None, keep=None: f(n.float(), average, length, keep)


RIGHT_WEIGHTS = token_weights
FAULTS = {
    "population standard deviation": ("group_advantage", lambda r: (
        (r - r.mean(1, keepdim=True)) / (r.std(1, correction=0, keepdim=True) + 1e-6))),
    "mean of the whole batch": ("group_advantage", lambda r: (r - r.mean()) / (r.std(1, keepdim=True) + 1e-6)),
    "deviation of the whole batch": ("group_advantage", lambda r: (r - r.mean(1, keepdim=True)) / (r.std() + 1e-6)),
    "over the wrong axis": ("group_advantage", lambda r: (r - r.mean(0)) / (r.std(0) + 1e-6)),
    "not centred": ("group_advantage", lambda r: r / (r.std(1, keepdim=True) + 1e-6)),
    "not scaled": ("group_advantage", lambda r: r - r.mean(1, keepdim=True)),
    "always the token mean": ("token_weights", weights_with(lambda n, *_: torch.ones_like(n) / n.sum())),
    "always the sequence mean": ("token_weights", weights_with(lambda n, *_: 1 / (n * len(n)))),
    "constant without the number of rows": ("token_weights", weights_with(
        lambda n, a, c, k: torch.full_like(n, 1 / c) if a == "constant" else RIGHT_WEIGHTS(n, a, c, k))),
    "rows left out still counted": ("token_weights", weights_with(
        lambda n, a, c, k: RIGHT_WEIGHTS(n, a, c) * (1 if k is None else k))),
    "no clip": ("policy_loss", loss_with(lambda r, c, A: r * A)),
    "only the clip": ("policy_loss", loss_with(lambda r, c, A: c * A)),
    "maximum for minimum": ("policy_loss", loss_with(lambda r, c, A: torch.maximum(r * A, c * A))),
    "no dual clip": ("policy_loss", loss_with(lambda r, c, A: torch.minimum(r * A, c * A))),
    "a bound of one where A < 0": ("policy_loss", loss_with(lambda r, c, A: torch.minimum(r.clamp(max=1.28) * A, c * A))),
    "factor of two": ("policy_loss", loss_with(lambda r, c, A: 2 * torch.minimum(r.clamp(max=10) * A, c * A))),
    "sign": ("policy_loss", loss_with(lambda r, c, A: -torch.minimum(r.clamp(max=10) * A, c * A))),
    "penalty starts at the limit": ("soft_overlong_penalty", lambda n, m, b: ((m - n.float()) / b).clamp(-1, 0)),
    "penalty is not bounded": ("soft_overlong_penalty", lambda n, m, b: ((m - b - n.float()) / b).clamp(max=0)),
    "k1 for k3": ("kl_penalty", lambda lp, ref: lp - ref),
    "k2 for k3": ("kl_penalty", lambda lp, ref: (lp - ref) ** 2 / 2),
    "k3 the wrong way round": ("kl_penalty", lambda lp, ref: (lp - ref).exp() - (lp - ref) - 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_noticed(fault, monkeypatch):
    name, wrong = FAULTS[fault]
    monkeypatch.setattr(grpo, name, wrong)
    with pytest.raises(AssertionError): hand_checks()


# parity with the released code

def test_release_advantages(shared):
    "Recorded from ExTra's released code; a bonus for correct responses comes after the normalisation, or before it."
    cases = json.loads((shared / "parity" / "official_release.json").read_text())["advantage"]
    compared = 0
    for case in cases:
        names = sorted(set(case["group"]))
        rewards = tensor([[r for g, r in zip(case["group"], case["reward"]) if g == name] for name in names])
        advantages = tensor([[a for g, a in zip(case["group"], case["advantage"]) if g == name] for name in names])
        novelty = tensor([[v for g, v in zip(case["group"], case["novelty"]) if g == name] for name in names])
        scale, bonus = "std" if case["scale_by_std"] else "none", case["gamma"] * novelty * (rewards > 0)
        if case["bonus_after_norm"]: ours = group_advantage(rewards, scale=scale) + bonus
        else: ours = group_advantage(rewards + bonus, scale=scale)
        assert_close(ours, advantages, atol=1e-5, rtol=0)
        compared += 1
    assert compared >= 4
