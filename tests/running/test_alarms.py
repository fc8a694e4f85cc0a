"Alarms: each rings in a run that was built to go wrong, and none in a healthy one."
import json
import math

import pytest
import torch

from extra_nb.running.alarms import WINDOW, alarms, helpful_group_size, recent
from extra_nb.embedders import NgramEmbedder
from extra_nb.grpo import zero_variance_probability
from extra_nb.novelty import NoveltyBonus
from extra_nb.policy import tiny_policy
from extra_nb.tasks import arithmetic
from extra_nb.train import Trainer
from extra_nb.types import Verdict, stable_hash

HEALTHY = {"policy/entropy": 0.8, "reward/mean": 0.3, "advantage/abs_mean": 0.7, "response/truncated_frac": 0.02, "novelty/bonus_ratio": 0.05,
           "verdict/timeout": 0.0, "loss/kl": 0.01}


class Judge:
    def __init__(self, right, otherwise="wrong"): self.right, self.otherwise = right, otherwise

    def judge(self, problems, responses):
        right = [self.right(r) for r in responses]
        return [Verdict(r, "correct" if r else self.otherwise) for r in right]


SOME = Judge(lambda text: stable_hash(text) % 3 == 0)


def run(mechanisms=(), steps=WINDOW + 1, verifier=SOME, policy=None, out=None, **settings):
    said = []
    settings = {"problems_per_step": 2, "group_size": 4, "max_new_tokens": 8, "lr": 0.0, **settings}
    t = Trainer(policy or tiny_policy(), arithmetic(6, levels=(2, 3), seed=1), mechanisms, out=out, verifier=verifier, say=said.append, steps=steps, **settings)
    return t.fit(), [line for line in said if line.startswith("ALARM")]


def names(history): return {name for m in history for name in m["alarms"]}


def test_a_healthy_run_is_quiet():
    history, said = run(steps=11, max_new_tokens=30)
    assert names(history) <= {"cut_responses"}  # an untrained policy hardly ever ends its responses
    assert alarms([HEALTHY] * 30, 8) == {}


@pytest.mark.parametrize("right, words", [(False, ["pass rate 0.0%", "easier problems"]), (True, ["pass rate 100.0%", "harder"])])
def test_dead_groups(right, words):
    history, said = run(verifier=Judge(lambda text: right))
    assert "dead_groups" in history[-1]["alarms"] and "dead_groups" not in history[WINDOW - 2]["alarms"]
    (line,) = [line for line in said if "dead_groups" in line]  # said when it begins, and not again
    assert all(w in line for w in words)


def test_an_alarm_that_flickers_is_said_once(monkeypatch):
    "It rings in every second step; after a whole window of silence it is news again."
    rings = iter([True, False, True, False, True] + [False] * (WINDOW + 1) + [True])
    monkeypatch.setattr("extra_nb.train.alarms", lambda history, group_size: {"flicker": "on and off"} if next(rings) else {})
    history, said = run(steps=WINDOW + 7)
    assert said == ["ALARM flicker: on and off"] * 2 and [len(m["alarms"]) for m in history] == [1, 0, 1, 0, 1, *[0] * (WINDOW + 1), 1]


class Counted(Judge):
    "Accepts every so-manieth response, so that the pass rate is known and no group is likelier to have a right one than another."
    def __init__(self, every): self.every, self.seen = every, 0

    def judge(self, problems, responses):
        numbers = range(self.seen, self.seen + len(responses))
        self.seen += len(responses)
        return [Verdict(n % self.every == 0, "correct" if n % self.every == 0 else "wrong") for n in numbers]


def test_groups_that_are_too_small_are_told_a_size_and_live_with_it():
    "One response in thirty is right; of groups of two hardly any is mixed, and of groups of the size that the alarm names half are."
    small = {"problems_per_step": 6, "max_new_tokens": 4}
    history, said = run(verifier=Counted(30), group_size=2, steps=2 * WINDOW, **small)
    (line,) = [line for line in said if "dead_groups" in line]
    size = int(line.partition("group_size=")[2].split()[0])
    rate = sum(m["reward/mean"] for m in history[:WINDOW]) / WINDOW
    assert f"(pass rate {rate:.1%})" in line and "instead of 2" in line and size == helpful_group_size(rate) > 10
    history, said = run(verifier=Counted(30), group_size=size, steps=2 * WINDOW, **small)
    assert sum(m["groups/mixed"] for m in history) / len(history) >= 0.5 and not [line for line in said if "dead_groups" in line]


def test_problems_that_are_always_or_never_solved_are_not_helped_by_a_size():
    "Half of the problems are right whatever is said: the pass rate alone would promise mixed groups."
    class Unequal(Judge):
        def __init__(self): pass
        def judge(self, problems, responses): return [Verdict(r, "correct" if r else "wrong") for r in (stable_hash(p.id) % 2 == 0 for p in problems)]

    history, said = run(verifier=Unequal(), problems_per_step=6, max_new_tokens=4)
    assert 0 < history[-1]["reward/mean"] < 1 and history[-1]["groups/mixed"] == 0
    (line,) = [line for line in said if "dead_groups" in line]
    assert "always or never solved" in line and "group_size=" not in line


def test_dead_groups_name_the_size_that_would_help():
    "One right answer in a hundred, and groups of two: the measured rate says how large a group must be."
    history = [{**HEALTHY, "groups/mixed": 0.02, "reward/mean": 0.01}] * WINDOW
    assert "group_size=69 instead of 2" in alarms(history, 2)["dead_groups"]
    assert 1 - zero_variance_probability(0.01, 69) >= 0.5 > 1 - zero_variance_probability(0.01, 68)
    assert "group_size=" not in alarms(history, 70)["dead_groups"]
    assert "dead_groups" not in alarms([{**HEALTHY, "groups/mixed": 0.2}] * WINDOW, 2)


def test_cut_responses():
    history, said = run(max_new_tokens=2)
    assert "cut_responses" in history[-1]["alarms"] and any("max_new_tokens" in line for line in said)


def test_verifier_timeouts():
    history, said = run(verifier=Judge(lambda text: stable_hash(text) % 2 == 0, "timeout"))
    assert "verifier_timeouts" in history[-1]["alarms"] and any("verifier_timeout" in line for line in said)


def test_a_bonus_out_of_proportion():
    bonus = NoveltyBonus(gamma=50.0, embedder=NgramEmbedder(), min_history=1)
    history, said = run([bonus], steps=10)
    assert "large_bonus" in names(history) and any("gamma" in line for line in said)


@pytest.mark.parametrize("name", ["loss/sampler_drift", "loss/logprob_drift"])
@pytest.mark.parametrize("drift, rings", [(0.0, False), (0.005, False), (0.018, False), (0.049, False), (0.051, True), (0.14, True), (0.8, True), (math.nan, False)])
def test_a_drift_between_sampler_and_update_rings_at_once(name, drift, rings):
    rung = alarms([{"step": 1, name: drift}], 8)
    assert list(rung) == ["sampler_drift"] * rings
    if rings: assert f"{drift:.3f} nats" in rung["sampler_drift"] and "fp32" in rung["sampler_drift"]
    assert alarms([{**HEALTHY, name: 0.9}, {**HEALTHY, name: 0.001}], 8) == {}  # the last step counts


def test_a_sampler_that_lies_is_heard_in_the_first_step_of_a_run(monkeypatch):
    from dataclasses import replace

    import extra_nb.engines.backends as backends
    real = backends.sample
    def off(*args, **kwargs): return [tuple(replace(r, logprobs=r.logprobs - 0.3) for r in group) for group in real(*args, **kwargs)]

    monkeypatch.setattr("extra_nb.train.sampler_named", lambda name: off)
    history, said = run(steps=1)
    assert history[0]["alarms"] == ["sampler_drift"] and history[0]["loss/sampler_drift"] == pytest.approx(0.3, abs=1e-3)
    assert len(said) == 1 and "0.300 nats per token" in said[0]


def test_what_the_policy_learns_within_a_step_is_no_drift_of_the_sampler():
    "Several updates in a step, and responses of earlier steps trained on again: the policy has moved, and nothing is wrong."
    from extra_nb.methods.replay import SuccessReplay

    history, said = run([SuccessReplay(per_step=8)], steps=4, lr=0.01, epochs=2, minibatch_problems=1)
    assert max(m["loss/logprob_drift"] for m in history) > 0.05 and max(m["loss/sampler_drift"] for m in history) < 1e-3
    assert history[-1]["replay/used"] > 0 and "sampler_drift" not in names(history)


@pytest.mark.parametrize("again, rings", [(0, False), (1, False), (2, False), (3, True), (7, True), (8, True)])
@pytest.mark.parametrize("p, mixed", [(0.01, 0.08), (0.0, 0.0), (0.4, 0.0), (0.3, 0.6)])
def test_many_groups_that_continue_prefixes(again, rings, p, mixed):
    rung = alarms([{**HEALTHY, "regen/groups": again, "groups/count": 8, "groups/mixed": mixed, "reward/mean": p}] * WINDOW, 8)
    assert ("regenerated_groups" in rung) == rings and ("dead_groups" in rung) == (mixed < 0.1)
    if rings: assert f"{again} of 8 groups continued prefixes" in rung["regenerated_groups"]
    if "dead_groups" in rung: assert ("lower per_step" in rung["dead_groups"]) == rings
    if rings: assert "group_size" not in " ".join(rung.values())


def test_without_a_group_size_none_is_advised():
    rung = alarms([{**HEALTHY, "groups/mixed": 0.08, "reward/mean": 0.01}] * WINDOW, None)
    assert "pass rate 1.0%" in rung["dead_groups"] and "group_size" not in rung["dead_groups"]


def test_kl_running_away():
    "A learning rate that is far too large."
    history, said = run(lr=0.05, kl_coef=1e-6, steps=12)
    assert "kl_runaway" in names(history) and any("kl_coef" in line for line in said)


@pytest.mark.parametrize("alarm, scale", [("entropy_collapse", 3.0), ("entropy_explosion", 0.2)])
def test_entropy_that_collapses_or_explodes(alarm, scale):
    "After a good beginning the output head grows, or shrinks, at every step."
    policy = tiny_policy()
    if alarm == "entropy_explosion":
        with torch.no_grad(): policy.model.lm_head.weight.mul_(40)

    class Runaway(Judge):
        calls = 0

        def judge(self, problems, responses):
            self.calls += 1
            with torch.no_grad(): policy.model.lm_head.weight.mul_(scale if self.calls > WINDOW else 1.0)
            return super().judge(problems, responses)

    history, said = run(policy=policy, verifier=Runaway(SOME.right), steps=2 * WINDOW + 2)
    assert alarm in history[-1]["alarms"] and alarm not in history[2 * WINDOW - 2]["alarms"], [m["policy/entropy"] for m in history]
    assert any("nats per token" in line for line in said)


def test_alarms_are_in_the_log_and_ring_alike_after_a_resume(tmp_path):
    settings = {"steps": WINDOW + 3, "verifier": Judge(lambda text: False), "max_new_tokens": 4}
    whole, said = run(out=tmp_path / "whole", **settings)
    run(out=tmp_path / "parts", **{**settings, "steps": 4})
    t = Trainer(tiny_policy(), arithmetic(6, levels=(2, 3), seed=1), [], out=tmp_path / "parts", verifier=settings["verifier"], say=None, problems_per_step=2,
                group_size=4, max_new_tokens=4, lr=0.0, steps=WINDOW + 3)
    t.resume()
    assert [m["alarms"] for m in t.fit()] == [m["alarms"] for m in whole]
    lines = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["alarms"] == ["cut_responses", "dead_groups"] and len(said) == 2


def test_means_need_a_whole_window_of_numbers():
    assert recent([{"x": 1.0}] * WINDOW, "x") == 1.0
    assert math.isnan(recent([{"x": 1.0}] * (WINDOW - 1), "x")) and math.isnan(recent([{"x": 1.0}] * WINDOW + [{"x": None}], "x"))
    assert recent([{"x": float(i)} for i in range(20)], "x", last=False) == 2.0 and recent([{"x": float(i)} for i in range(20)], "x") == 17.0
    assert alarms([], 8) == {} and alarms([{}] * 50, 8) == {}


def test_a_run_that_has_ended_is_asked_more_and_by_the_same_function():
    "The report has no thresholds of its own: what it says at the end is what `alarms` says there."
    import extra_nb.running.report as report

    assert report.alarms is alarms and not [name for name, value in vars(report).items() if name.isupper() and type(value) is float]
    ended = [{**HEALTHY, "verdict/no_answer": 0.9, "regen/queue": 100.0, "regen/groups": 2.0, "groups/count": 8.0}] * 30
    assert alarms(ended, 8) == {} and list(alarms(ended, 8, ended=True)) == ["no_answers", "no_rise", "stale_queue"]
    both = [{**step, "response/truncated_frac": 0.5} for step in ended]
    assert list(alarms(both, 8, ended=True)) == ["cut_responses", "no_answers", "no_rise", "stale_queue"]


@pytest.mark.parametrize("p", [1e-4, 0.003, 0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("alive", [0.1, 0.5, 0.9])
def test_the_helpful_size_is_the_smallest(p, alive):
    G = helpful_group_size(p, alive)
    assert 1 - zero_variance_probability(p, G) >= alive and (G == 2 or 1 - zero_variance_probability(p, G - 1) < alive)
    assert helpful_group_size(0.0) is None and helpful_group_size(1.0) is None


def test_the_report_says_when_an_alarm_rang(tmp_path):
    from extra_nb.running.figures import read_metrics
    from extra_nb.running.report import alarm_lines as sentences
    from extra_nb.running.report import write_report

    run(out=tmp_path, verifier=Judge(lambda text: False), max_new_tokens=4)
    said = sentences(read_metrics(tmp_path))
    (line,) = [line for line in said if "dead_groups" in line]
    assert line.startswith(f"In training the alarm dead_groups rang in 2 steps, from step {WINDOW} to {WINDOW + 1}: In the last {WINDOW} steps none")
    assert "the alarm cut_responses rang" in write_report(tmp_path).read_text(encoding="utf-8")
