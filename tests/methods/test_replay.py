"Replay: what is trained on again, and what that does to the gradient."
import pytest
import torch
from torch.testing import assert_close

from extra_nb.mechanisms import Mechanism
from extra_nb.policy import tiny_policy
from extra_nb.methods.replay import SuccessReplay
from extra_nb.tasks import arithmetic
from extra_nb.train import Trainer
from extra_nb.types import InputError, Verdict, stable_hash

PROBLEMS = arithmetic(10, levels=(2, 3), seed=2)
SETTINGS = {"problems_per_step": 4, "group_size": 4, "max_new_tokens": 10, "lr": 3e-3, "say": None}


class Judge:
    "A third of all texts is right, always the same."
    def judge(self, problems, responses): return [Verdict(ok, "correct" if ok else "wrong") for ok in (stable_hash(r) % 3 == 0 for r in responses)]


class Never:
    def judge(self, problems, responses): return [Verdict(False, "wrong") for _ in responses]


def trainer(*mechanisms, judge=Judge, **settings): return Trainer(tiny_policy(0), PROBLEMS, mechanisms, verifier=judge(), **{**SETTINGS, **settings})


def weights(t): return torch.cat([p.detach().flatten() for p in t.policy.model.parameters()])


def gradients_of(t):
    "The gradient of each update, before it is clipped or used."
    found, inner = [], t.accumulate

    def spy(rollouts, advantages, *drawn):
        sums = inner(rollouts, advantages, *drawn)
        found.append((rollouts, advantages, torch.cat([p.grad.flatten() for p in t.parameters])))
        return sums

    t.accumulate = spy
    return found


def test_without_successes_nothing_changes():
    one, other = trainer(judge=Never), trainer(SuccessReplay(), judge=Never)
    for t in (one, other): t.step(), t.step()
    assert torch.equal(weights(one), weights(other)) and other.history[-1]["replay/kept"] == 0


def test_none_asked_for_is_plain_grpo():
    one, other = trainer(), trainer(SuccessReplay(per_step=0))
    for t in (one, other):
        for _ in range(3): t.step()
    assert torch.equal(weights(one), weights(other)) and other.history[-1]["replay/kept"] > 0


def test_replayed_responses_are_right_old_and_in_the_batch():
    t = trainer(SuccessReplay(per_step=5))
    seen, judge = gradients_of(t), Judge()
    for _ in range(6): t.step()
    assert len(seen[0][0]) == 16 and t.history[-1]["replay/used"] == 5 and all(len(rollouts) == len(advantages) for rollouts, advantages, _ in seen)
    for step, (rollouts, advantages, _) in enumerate(seen[1:], 2):
        old, earlier = rollouts[16:], {id(r) for batch, _, _ in seen[: step - 1] for r in batch}
        assert len(old) == t.history[step - 1]["replay/used"] <= 5
        assert all(id(r) in earlier for r in old) and (advantages[16:] > 0).all()
        assert all(v.correct for v in judge.judge(old, [r.text for r in old])) and len({id(r) for r in old}) == len(old)


def test_gradient_is_that_of_the_larger_batch():
    "What the trainer adds up is the loss of fresh and replayed responses under one token mean."
    t = trainer(SuccessReplay(per_step=5), micro_batch_tokens=60)
    for _ in range(5): t.step()
    seen = gradients_of(t)
    before = {n: p.detach().clone() for n, p in t.policy.model.named_parameters()}
    t.step()
    rollouts, advantages, found = seen[-1]
    assert len(rollouts) == 16 + 5
    plain = trainer(micro_batch_tokens=10**6)
    with torch.no_grad():
        for n, p in plain.policy.model.named_parameters(): p.copy_(before[n])
    plain.accumulate(rollouts, advantages)
    assert_close(found, torch.cat([p.grad.flatten() for p in plain.parameters]), atol=1e-6, rtol=1e-4)


def test_mini_batches_share_the_replayed_ones():
    t = trainer(SuccessReplay(per_step=5), minibatch_problems=2, epochs=2)
    seen = gradients_of(t)
    for _ in range(6): t.step()
    old = [rollouts[8:] for rollouts, _, _ in seen[-4:]]  # four updates in a step, of two groups of four
    assert [len(o) for o in old] == [3, 2, 3, 2] and {id(r) for r in old[0] + old[1]} == {id(r) for r in old[2] + old[3]}


def test_a_mechanism_needs_no_such_hook(): assert Mechanism().extra_sequences(1) == []


@pytest.mark.parametrize("options, message", [({"per_step": -1}, "per_step must be at least 0; got -1"), ({"keep": 0}, "keep must be at least 1; got 0"),
                                              ({"age": 0}, "age must be at least 1; got 0")])
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message): SuccessReplay(**options)
