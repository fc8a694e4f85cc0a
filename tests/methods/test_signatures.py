"""Reward functions of TRL and verl, TRL's own among them, give through ours what they give where they come from."""
import math

import pytest
import torch

from extra_nb.methods.rewards import CustomReward, check_functions
from extra_nb.methods.signatures import adapted, call_trl, columns_of, signature_of
from extra_nb.types import Group, InputError, Problem, Request, Rollout, Verdict

PROBLEM = Problem("toy/1", "6 * 7 = ?", "42", "toy")
TEXTS = ["<think>\nsix sevens\n</think>\nIt is \\boxed{42}.", "It is \\boxed{41}.", "", "<think>no end", "42 " * 30]


def batch(completions, columns, function):
    "As TRL calls it: all responses at once."
    return function(completions=completions, prompts=[PROBLEM.prompt] * len(completions), **{k: [v] * len(completions) for k, v in columns.items()})


@pytest.mark.parametrize("name", ["think_format_reward", "accuracy_reward", "reasoning_accuracy_reward"])
def test_rewards_that_trl_brings(name):
    rewards = pytest.importorskip("trl.rewards")
    if not hasattr(rewards, name): pytest.skip(f"this TRL has no {name}")
    function = getattr(rewards, name)
    assert signature_of(function) == "trl"
    messages = [[{"role": "assistant", "content": text}] for text in TEXTS]
    theirs = [0.0 if x is None else x for x in batch(messages, {"solution": "$42$"}, function)]
    problem = Problem("toy/1", PROBLEM.prompt, "$42$")
    assert [call_trl(function, problem, text) for text in TEXTS] == theirs
    assert len(set(theirs)) > 1  # else this says nothing


def by_text(prompts, completions, answer, **kwargs): return [float(a in c) for c, a in zip(completions, answer)]
def by_message(completions, **kwargs): return [float("42" in c[0]["content"]) for c in completions]
def by_last(completions, answer, **kwargs): return [float(a in c[-1]["content"]) for c, a in zip(completions, answer)]
def by_length(completions, completion_ids=None): return [min(1.0, len(c) / 100) for c in completions]
def by_some(completions, **kwargs): return [None for _ in completions]
def compute_score(data_source, solution_str, ground_truth, extra_info=None): return float(ground_truth in solution_str)
def compute_dict(data_source, solution_str, ground_truth, extra_info=None, **kwargs): return {"score": 0.5 * (ground_truth in solution_str), "acc": 1}
def compute_few(solution_str, ground_truth): return ground_truth in solution_str


def by_column(completions, difficulty, **kwargs): return [d * len(c) for c, d in zip(completions, difficulty)]
def by_extra_info(data_source, solution_str, ground_truth, extra_info): return float(extra_info["split"] == "train" and data_source == "mine") * len(solution_str)


@pytest.mark.parametrize("function, factor", [(by_column, 3), (by_extra_info, 1), (lambda problem, response: problem.columns["difficulty"] * len(response), 3)])
def test_columns_of_the_data_reach_a_reward(function, factor, tmp_path):
    "From a file, through the reader and the worker, to the function."
    from extra_nb.tasks import load_problems
    (tmp_path / "p.jsonl").write_text('{"problem": "6*7?", "answer": "42", "difficulty": 3, "data_source": "mine", "extra_info": {"split": "train"}}\n')
    (problem,) = load_problems(str(tmp_path / "p.jsonl")).problems
    rollouts = tuple(Rollout(Request(problem), i, torch.zeros(3).long(), torch.zeros(3), torch.zeros(3), "stop", "x" * i) for i in range(3))
    mine = CustomReward({"mine": function}, workers=1)
    try: found = mine.reward(1, [Group(Request(problem), rollouts, (Verdict(False, "wrong"),) * 3, torch.zeros(3))])["mine"][0].tolist()
    finally: mine.close()
    assert found == [0.0, factor * 1.0, factor * 2.0]


@pytest.mark.parametrize("function", [by_text, by_message, by_last, by_length, by_some, compute_score, compute_dict, compute_few])
def test_through_a_worker(function):
    "The whole way: packed, sent to another process, called there, weighted."
    request = Request(PROBLEM)
    rollouts = tuple(Rollout(request, i, torch.zeros(3).long(), torch.zeros(3), torch.zeros(3), "stop", text) for i, text in enumerate(TEXTS))
    group = Group(request, rollouts, (Verdict(False, "wrong"),) * len(TEXTS), torch.zeros(len(TEXTS)))
    mine = CustomReward({"mine": function}, {"mine": 2.0}, workers=1)
    try: found = mine.reward(1, [group])["mine"][0].tolist()
    finally: mine.close()
    assert mine.step_end(1, [group]) == {"reward/mine_failed": 0.0}
    want = [2.0 * float(adapted(function)(PROBLEM, text)) for text in TEXTS]
    assert found == pytest.approx(want)
    if function is not by_some: assert len(set(found)) > 1


def test_an_error_of_both_ways_is_the_first():
    def wrong(completions, **kwargs): return [c.shape for c in completions]
    with pytest.raises(AttributeError, match="'str' object has no attribute 'shape'"): call_trl(wrong, PROBLEM, "42")


def test_a_column_that_is_missing():
    def needs(completions, difficulty): return difficulty
    with pytest.raises(TypeError, match="difficulty"): call_trl(needs, PROBLEM, "42")


def test_own_columns_come_before_the_usual_names():
    class WithColumns:
        answer, columns = "42", {"solution": "6 * 7 = 42", "level": 2}
    assert columns_of(WithColumns) == {"answer": "42", "ground_truth": "42", "solution": "6 * 7 = 42", "level": 2}


@pytest.mark.parametrize("function, kind", [
    (lambda p, r: 0.0, "ours"), (lambda p, r, strict=True: 0.0, "ours"), (lambda *a: 0.0, "ours"), (lambda problem: 0.0, ""), (lambda: 0.0, ""),
    (lambda a, b, c: 0.0, ""), (lambda *, problem, response: 0.0, ""), (math.hypot, "ours"), (lambda prompts, completions, **k: [], "trl"),
    (lambda solution_str, ground_truth, extra_info: 0.0, "verl")])
def test_signatures(function, kind):
    assert signature_of(function) == kind
    if kind: check_functions({"f": function}, {})
    else:
        with pytest.raises(InputError, match="reward 'f' takes .*; expected is"): check_functions({"f": function}, {})
