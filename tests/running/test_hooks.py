"""Mechanisms that are wrong in some way are refused in one line that names them; right ones, ours among them, are not."""
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import tensor

from extra_nb.mechanisms import Mechanism
from extra_nb.methods.replay import SuccessReplay
from extra_nb.lab.arms import Focus
from extra_nb.novelty import NoveltyBonus
from extra_nb.regeneration import PrefixRegeneration
from extra_nb.running.hooks import Mechanisms, check_mechanism
from extra_nb.types import Group, InputError, Problem, Request, Rollout, Verdict

N, G = 3, 4
right, wrong = Verdict(True, "correct"), Verdict(False, "wrong")


def rollout(request, i=0):
    return Rollout(request, i, torch.zeros(5).long(), torch.zeros(5), torch.zeros(5), "stop")


def groups():
    found = []
    for n in range(N):
        request = Request(Problem(str(n), f"{n}+1=?", str(n + 1)))
        rollouts = tuple(rollout(request, i) for i in range(G))
        found.append(Group(request, rollouts, (right, wrong, wrong, wrong), torch.eye(G)[0]))
    return found


def made(name="mine", **hooks):
    "An instance of a mechanism with these hooks."
    return type("Mine", (Mechanism,), {"name": name, **hooks})()


def line(call, *args):
    with pytest.raises(InputError) as e: call(*args)
    assert "\n" not in str(e.value) and str(e.value).startswith("mechanism ")
    return str(e.value)


# ---- the class

@pytest.mark.parametrize("mechanism", [Mechanism, NoveltyBonus, "novelty", None, object(), SimpleNamespace(name="x")])
def test_what_is_no_mechanism(mechanism): assert "allowed: instances" in (said := line(Mechanisms, [mechanism])) or "pass an instance" in said


@pytest.mark.parametrize("hook, meant", [
    ("advantages", "advantage"), ("rewards", "reward"), ("on_step_end", "step_end"), ("set_up", "setup"), ("load_statedict", "load_state_dict"),
    ("extra_sequence", "extra_sequences"), ("stepend", "step_end"), ("plans", "plan"), ("closed", "close")])
def test_a_hook_that_does_not_exist(hook, meant):
    assert f"no hook {hook!r}; did you mean {meant!r}?" in line(check_mechanism, made(**{hook: lambda self: None}))


@pytest.mark.parametrize("hook, now", [("undo_plan", "cancel_plan"), ("rests_on", "fingerprint")])
def test_a_hook_of_before(hook, now):
    assert f"hook {hook!r} is called {now!r} now" in line(check_mechanism, made(**{hook: lambda self: None}))


@pytest.mark.parametrize("other", ["score", "embed", "draw", "tokens", "weights", "rescue", "memory", "step", "train", "_reward", "_advantages"])
def test_other_methods_are_free(other): check_mechanism(made(**{other: lambda self: None}))


@pytest.mark.parametrize("hook, call", [
    ("reward", lambda self, groups: {}), ("advantage", lambda self, step, groups: None), ("step_end", lambda self: {}),
    ("plan", lambda self, step, slots, more: []), ("close", lambda: None)])
def test_a_hook_that_cannot_be_called(hook, call): assert f"cannot be called as {hook}(" in line(check_mechanism, made(**{hook: call}))


@pytest.mark.parametrize("call", [lambda self, *args: {}, lambda self, step, groups, more=0: {}, lambda self, *, step, groups: {}])
def test_hooks_with_further_arguments(call):
    if call.__kwdefaults__ is None and "step" in call.__code__.co_varnames[call.__code__.co_argcount:]:
        assert "cannot be called" in line(check_mechanism, made(reward=call))  # by name only: the trainer calls by position
    else: check_mechanism(made(reward=call))


@pytest.mark.parametrize("name", ["", None, 3, ["x"]])
def test_a_name_is_a_text(name): assert repr(name) in line(check_mechanism, made(name=name))


def test_names_differ():
    assert "its name 'a' is that of Mine too" in line(Mechanisms, [made("a"), made("b"), made("a")])
    assert len(Mechanisms([made("a"), made("b")])) == 2


def test_ours_are_allowed():
    ours = [NoveltyBonus(), PrefixRegeneration(), SuccessReplay(), Focus()]
    assert Mechanisms(ours) == ours


# ---- what hooks give

TERMS = {"a list": ([[0.0] * G] * N, "type list"), "one for each group": (torch.zeros(N), "shape (3,)"), "turned": (torch.zeros(G, N), "shape (4, 3)"),
         "one number": (tensor(0.5), "shape ()"), "whole numbers": (torch.ones(N, G).long(), "torch.int64"), "bool": (torch.ones(N, G).bool(), "torch.bool"),
         "nan": (torch.zeros(N, G).index_put((tensor(1), tensor(2)), tensor(math.nan)), "nan for response 2 of group 1"),
         "infinite": (torch.full((N, G), -math.inf), "-inf for response 0 of group 0"), "a gradient": (torch.zeros(N, G, requires_grad=True), "detach"),
         "an array": (np.zeros((N, G)), "type ndarray")}


@pytest.mark.parametrize("term, part", TERMS.values(), ids=TERMS)
def test_a_term_that_is_wrong(term, part):
    assert part in line(Mechanisms([made(advantage=lambda *_: term)]).advantage, 1, groups(), torch.zeros(N, G))
    assert part in (said := line(Mechanisms([made(reward=lambda *_: {"x": term})]).reward, 1, groups())) and "reward part 'x'" in said


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_terms_of_any_floating_point(dtype):
    term = torch.full((N, G), 0.5, dtype=dtype)
    final = Mechanisms([made("a", advantage=lambda *_: term), made("b", advantage=lambda *_: None)]).advantage(1, groups(), torch.ones(N, G))
    assert final.tolist() == [[1.5] * G] * N


@pytest.mark.parametrize("name", ["mean", "std", "taken", "of another"])
def test_names_of_parts_that_are_taken(name):
    other = made("other", reward=lambda *_: {"of another": torch.zeros(N, G)})
    mine = made(reward=lambda *_: {name: torch.zeros(N, G)})
    assert f"{name!r}, and this name is taken" in line(lambda: Mechanisms([other, mine]).reward(1, groups(), taken=["taken"]))


@pytest.mark.parametrize("found", [None, torch.zeros(N, G), [("x", torch.zeros(N, G))]])
def test_parts_come_in_a_dict(found): assert "allowed: a dict" in line(Mechanisms([made(reward=lambda *_: found)]).reward, 1, groups())


def test_a_plan_fits():
    problem = Request(Problem("p", "1", "1"))
    two = made("two", plan=lambda self, step, slots: [problem] * min(2, slots))
    assert Mechanisms([two, made("more", plan=lambda self, step, slots: [problem] * slots)]).plan(1, 5) == [problem] * 5
    assert "plan gave 9 requests; allowed: 3" in line(Mechanisms([two, made(plan=lambda *_: [problem] * 9)]).plan, 1, 5)
    assert "allowed: requests" in line(Mechanisms([made(plan=lambda *_: [problem.problem])]).plan, 1, 5)


@pytest.mark.parametrize("pair, part", [
    (rollout(Request(Problem("p", "1", "1"))), "allowed: pairs"), ((1, 2, 3), "allowed: pairs"), ((rollout(Request(Problem("p", "1", "1"))), math.nan), "is nan")])
def test_extra_sequences_that_are_wrong(pair, part): assert part in line(Mechanisms([made(extra_sequences=lambda *_: [pair])]).extra_sequences, 1)


@pytest.mark.parametrize("metrics, part", [
    ({"mean": 1.0}, "allowed: mine/NAME"), ({3: 1.0}, "allowed: mine/NAME"), ({"loss/policy": 1.0}, "the trainer's"), ({"time/step": 1.0}, "the trainer's"),
    ({"reward/mean": 1.0}, "a metric of the trainer"), ({"mine/x": "much"}, "type str"), ({"mine/x": None}, "type NoneType"),
    ({"mine/x": torch.zeros(2)}, "type Tensor"), ({"mine/x": [1.0]}, "type list")])
def test_metrics_that_are_wrong(metrics, part): assert part in line(Mechanisms([made(step_end=lambda *_: metrics)]).step_end, 1, groups())


@pytest.mark.parametrize("value", [1, 1.0, True, tensor(1.0), tensor([1]), np.float32(1), np.int64(1), np.ones(1)])
def test_numbers_of_any_kind(value):
    found = Mechanisms([made(step_end=lambda *_: {"mine/x": value})]).step_end(1, groups())
    assert found == {"mine/x": 1} and isinstance(found["mine/x"], (int, float))


def test_metrics_of_two():
    one, two = (made(name, step_end=lambda *_: {"shared/x": 1.0}) for name in "ab")
    assert "mechanism b: another one has a metric 'shared/x' too" in line(Mechanisms([one, two]).step_end, 1, groups())


# ---- nothing is changed in place

def scale(self, step, groups, *rest): groups[0].rewards.mul_(2)
def append(self, step, groups, *rest): groups.append(groups[0])
def swap(self, step, groups, *rest): groups.reverse()
def bend(self, step, groups, advantages): advantages[0, 0] = 9.0


@pytest.mark.parametrize("hook, change", [
    ("reward", scale), ("reward", append), ("reward", swap), ("advantage", scale), ("advantage", append), ("advantage", bend), ("step_end", scale)])
def test_changes_in_place(hook, change):
    run, rest = Mechanisms([made(**{hook: change})]), (torch.zeros(N, G),) * (hook == "advantage")
    assert f"mechanism mine: {hook} changed an argument in place" in line(getattr(run, hook), 1, groups(), *rest)


def test_reading_is_no_change():
    def read(self, step, groups, *rest):
        for g in groups: g.rewards.clone().mul_(2), g.correct, g.total_rewards
        return {}
    run = Mechanisms([made(reward=read, step_end=read)])
    assert (run.reward(1, groups()), run.step_end(1, groups())) == ({}, {})
