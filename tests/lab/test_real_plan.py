"Plans for a real model, with the tiny one in its place: what they refuse, what they run, and that nothing is run twice."
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from extra_nb.cli import RunConfig, train
from extra_nb.lab.figures import load_results, points_table
from extra_nb.lab.laboratory import BEGINNING, RealArm, RealPlan, began_alike, lab_main, question_table, read_plan, run_real, written_plan
from extra_nb.types import InputError

SETTINGS = {"warm_start_steps": 20, "heldout": 4, "max_new_tokens": 16, "checkpoint_every": 1}
ARMS = (RealArm("grpo", {"mechanisms": "none"}), RealArm("replay", {"mechanisms": "replay"}))


def plan(**changes):
    return RealPlan(**(dict(name="p", kind="exploratory", preset="tiny", seeds=(0, 1), arms=ARMS, budget=500, settings=SETTINGS) | changes))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, run_real(plan(seeds=(0,)), out, say=lambda line: None)


def scores(result): return [(p["tokens"], p["steps"], p["correct"], p["different"]) for p in result["points"]]


@pytest.mark.parametrize("changes, said", [
    (dict(seeds=(0, 1000)), "exploratory seeds are 0 to 999"), (dict(kind="confirmatory"), "confirmatory ones start at 1000"), (dict(seeds=()), "no seeds"),
    (dict(arms=()), "no arms"), (dict(arms=(ARMS[0], ARMS[0])), "twice"), (dict(name="../x"), "letters"), (dict(budget=0), "budget=0"),
    (dict(preset="tinny"), "did you mean 'tiny'"), (dict(settings={"heldot": 4}), "did you mean 'heldout'"), (dict(settings={"heldout": 0}), "heldout problems"),
    (dict(settings={"eval_samples": 8, "eval_k": "1,8"}), "16 eval_samples"), (dict(settings={"group_size": 1}), "group_size=1"),
    (dict(settings={"model": "smollm2-135m"}), "fp32 or bf16, not 'auto'"), (dict(arms=(RealArm("a/b"),)), "letters"), (dict(tests=(("real", "grpo", "repla", "pass@1"),)), "did you mean 'replay'"),
    (dict(tests=(("mixed", "grpo", "replay", "pass@1"),)), "regime in a test")])
def test_plans_that_cannot_be_meant_are_refused(changes, said):
    with pytest.raises(InputError, match=said): plan(**changes)


def test_a_plan_is_the_same_after_a_file(tmp_path):
    for p in (plan(), plan(kind="confirmatory", seeds=tuple(range(1000, 1015)), tests=(("real", "grpo", "replay", "pass@1"),))):
        (tmp_path / "plan.json").write_text(json.dumps(written_plan(p)))
        assert read_plan(tmp_path / "plan.json") == p
    for broken in ({"sead": [0]}, {"arms": ["grpo"]}, {"arms": [{"name": "a", "mechanisms": "none"}]}):
        (tmp_path / "plan.json").write_text(json.dumps({**written_plan(plan()), **broken}))
        with pytest.raises(InputError): read_plan(tmp_path / "plan.json")


def test_the_plan_of_this_project_can_be_run():
    real = read_plan(Path(__file__).parents[2] / "nbs" / "experiments" / "real_model.json")
    configs = {arm.name: real.config(arm, 3) for arm in real.arms}
    assert {name: c.mechanisms for name, c in configs.items()} == {"grpo": "none", "extra": "novelty,regeneration", "replay": "replay"}
    for c in configs.values(): assert replace(c, mechanisms="none") == configs["grpo"] and c.model == "smollm2-135m" and c.max_tokens == real.budget and c.seed == 3
    assert not any(c.total_minutes or c.max_minutes for c in configs.values()), "tokens must end a run, or the arms are not equal"


def test_arms_cost_the_same_tokens_and_begin_alike(done):
    out, folder = done
    results = load_results(folder)
    assert [r["spec"]["arm"]["name"] for r in results] == ["grpo", "replay"]
    assert scores(results[0])[0] == scores(results[1])[0]
    for r in results: assert 500 <= r["tokens"] < 500 + 4 * 4 * 16 and r["points"][-1]["tokens"] == r["tokens"]
    table = question_table(plan(seeds=(0,)), points_table(results))
    assert table.score.tolist() == ["pass@1", "pass@16"] and table.seeds.tolist() == [1, 1]
    assert table.difference[0] == pytest.approx(100 * (results[1]["points"][-1]["pass@1"] - results[0]["points"][-1]["pass@1"]))
    assert not list(folder.glob("runs/*/checkpoints")) and len(list(folder.glob("runs/*/evals/after.jsonl"))) == 2


def test_nothing_is_run_twice_and_the_command_ends_with_the_tables(done, tmp_path, capsys):
    out, folder = done
    (tmp_path / "plan.json").write_text(json.dumps(written_plan(plan(seeds=(0,)))))
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.json")}
    assert lab_main(["--plan", str(tmp_path / "plan.json"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.json")} == before and "..." not in said
    assert "real: base policy pass@1" in said and "paired differences, exploratory seeds" in said
    (tmp_path / "plan.json").write_text(json.dumps(written_plan(plan(seeds=(0,), budget=900))))
    assert lab_main(["--plan", str(tmp_path / "plan.json"), "--out", str(out)]) == 2
    assert "is the result of another run" in capsys.readouterr().err


def test_a_run_that_was_interrupted_goes_on(done, tmp_path, capsys):
    "Its first step lies in a checkpoint; the result is that of the run at a stretch."
    one = plan(seeds=(0,), arms=ARMS[1:])
    train(replace(one.config(ARMS[1], 0), steps=1), tmp_path / "p" / "runs" / "replay-0", "tiny")
    folder = run_real(one, tmp_path)
    assert "resuming after step 1" in capsys.readouterr().out
    at_a_stretch = json.loads((done[1] / "real" / "replay-0.json").read_text())
    assert scores(json.loads((folder / "real" / "replay-0.json").read_text())) == scores(at_a_stretch)


def test_a_run_that_begins_otherwise_is_not_trained(done, tmp_path):
    "Here the result of another run stands where that of another machine would."
    (folder := tmp_path / "p" / "real").mkdir(parents=True)
    stranger = json.loads((done[1] / "real" / "grpo-0.json").read_text())
    stranger["points"][0]["correct"][0] += 1
    (folder / "grpo-0.json").write_text(json.dumps(stranger))
    with pytest.raises(InputError, match="replay-0 did not begin like grpo-0: before training"): run_real(plan(seeds=(0,)), tmp_path, say=lambda line: None)
    assert not (folder / "replay-0.json").exists() and not (tmp_path / "p" / "runs" / "replay-0" / "metrics.jsonl").exists()


def test_only_arms_that_ask_for_the_same_beginning_must_have_it(done, tmp_path):
    grpo, replay = load_results(done[1])
    began_alike([grpo, replay])
    other = json.loads(json.dumps(replay))
    other["points"][0]["correct"][0] += 1
    with pytest.raises(InputError, match="did not begin like"): began_alike([grpo, other])
    for change in ({"warm_start_steps": 3}, {"model": "another"}, {"compute": "bf16"}):
        began_alike([grpo, {**other, "spec": {**other["spec"], "settings": {**other["spec"]["settings"], **change}}}])
    began_alike([grpo, {**other, "spec": {**other["spec"], "seed": 1}}])


def test_what_a_beginning_rests_on_are_settings_and_no_mechanism():
    names = {f.name for f in fields(RunConfig)}
    assert set(BEGINNING) < names and not set(BEGINNING) & {"mechanisms", "lr", "gamma", "group_size", "problems_per_step", "seed"}


def test_a_run_that_ends_before_its_tokens_is_no_result(tmp_path):
    with pytest.raises(InputError, match="of 500 tokens: more steps are needed"): run_real(plan(seeds=(0,), settings={**SETTINGS, "steps": 1}), tmp_path, say=lambda line: None)
    assert not list(tmp_path.rglob("real/*.json"))
