"Rewards: the verifier as others call it, TRL's trainer first, and functions of a user that may do anything."
import functools
import logging
import math
import multiprocessing
import operator
import os
import sys
import textwrap

import pytest
import torch
from torch.testing import assert_close

from extra_nb.policy import tiny_policy
from extra_nb.methods.rewards import LOGGED, CustomReward, completion_text, load_reward, trl_reward, verified_reward
from extra_nb.tasks import arithmetic
from extra_nb.train import Trainer
from extra_nb.types import REASONS, Group, InputError, Problem, Request, Rollout, Verdict
from extra_nb.verifier import Verifier

SLOW = 60
PROBLEM = Problem("a/1", "What is 1/4+1/4?", r"\frac{1}{2}", source="here", level=3)


@pytest.fixture(scope="module")
def verifier():
    with Verifier(timeout=SLOW, workers=1) as v: yield v


def boxed(text): return rf"Thus \boxed{{{text}}}."


def group(texts, problem=PROBLEM):
    request, none = Request(problem), torch.zeros(0)
    rollouts = tuple(Rollout(request, i, none.long(), none, none, "stop", text) for i, text in enumerate(texts))
    return Group(request, rollouts, (Verdict(False, "wrong"),) * len(texts), torch.zeros(len(texts)))


def from_source(source, name="reward"):
    "A function as a notebook has it: from no file that could be imported."
    space = {"__name__": "__main__"}
    exec(textwrap.dedent(source), space)
    return space[name]


def ask(functions, texts, **settings):
    "Values of one reward for some responses, and how many failed."
    (name, _), = functions.items()
    mechanism = CustomReward(functions, **{"timeout": SLOW, "workers": 1, **settings})
    try: return mechanism.reward(1, [group(texts)])[name][0].tolist(), mechanism.step_end(1, [])[f"reward/{name}_failed"]
    finally: mechanism.close()


# the verifier for others

def test_verified_reward(verifier):
    reward = verified_reward(verifier)
    found = [reward(PROBLEM, text) for text in (boxed("0.5"), boxed("2"), "0.5", boxed(r"\sqrt{1/4}"))]
    assert found == [1.0, 0.0, 0.0, 1.0] and all(type(x) is float for x in found)


@pytest.mark.parametrize("completion, text", [
    ("plain", "plain"), ("", ""), ([], ""), ([{"role": "assistant", "content": "a"}], "a"), ([{"role": "assistant", "content": None}], ""),
    ([{"role": "assistant", "content": "first"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "last"}], "last"),
    ([{"role": "assistant", "content": "a"}, {"role": "tool", "content": "t"}], "a"), ([{"role": "tool", "content": "t"}], ""),
    ([{"role": "assistant", "content": [{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}]}], "one two"),
])
def test_completion_text(completion, text): assert completion_text(completion) == text


def test_trl_reward_reads_texts_and_conversations_and_skips_rows_of_other_tasks(verifier):
    reward = trl_reward(verifier, answer_column="gold")
    answers = [boxed("0.5"), boxed("3"), "3", boxed("7"), boxed("x")]
    columns = {"gold": ["1/2", "4", "3", 7, None], "source": ["s"] * 5, "completion_ids": [[0]] * 5, "trainer_state": object()}
    for wrap in (lambda t: t, lambda t: [{"role": "assistant", "content": t}]):
        found = reward(prompts=["p"] * 5, completions=[wrap(a) for a in answers], **columns)
        assert found == [1.0, 0.0, 0.0, 1.0, None]
    assert reward(prompts=[], completions=[], gold=[]) == [] and reward.__name__ == "correct"


def test_trl_reward_reports_reasons(verifier):
    metrics, extra = {}, {}
    trl_reward(verifier)(completions=[boxed("0.5"), boxed("3"), "3", "4"], answer=["1/2", "4", "3", None],
                         log_metric=metrics.__setitem__, log_extra=extra.__setitem__)
    assert metrics == {f"verdict/{r}": {"correct": 1 / 3, "wrong": 1 / 3, "no_answer": 1 / 3}.get(r, 0) for r in REASONS}
    assert extra == {"verdict": ["correct", "wrong", "no_answer", ""]}


def test_trl_reward_names_the_columns_there_are():
    with pytest.raises(InputError, match="did you mean 'answers'") as e:
        trl_reward()(prompts=["p"], completions=["c"], completion_ids=[[1]], trainer_state=None, answers=["1"], level=[1])
    assert "level" in str(e.value) and "trainer_state" not in str(e.value) and "\n" not in str(e.value)


def _rewarded(reward, queue): queue.put(reward(completions=[boxed("1+x")], answer=["x+1"]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_trl_reward_works_in_a_process_that_a_launcher_forked():
    reward, context = trl_reward(), multiprocessing.get_context("fork")
    assert reward(completions=[boxed("1+x")], answer=["x+1"]) == [1.0]
    queue = context.Queue()
    process = context.Process(target=_rewarded, args=(reward, queue))
    process.start()
    assert queue.get(timeout=SLOW) == [1.0]
    process.join(SLOW)


def test_one_step_of_trl(verifier, tmp_path):
    "TRL samples from a tiny random model, asks the reward, and updates."
    pytest.importorskip("trl", reason="needs trl, a development requirement; it is not installed")
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    class Watched(Verifier):
        def verify(self, golds, responses):
            seen.append((golds, responses))
            return [Verdict(True, "correct") if i % 2 else Verdict(False, "wrong") for i in range(len(golds))]

    seen, policy, problems = [], tiny_policy(), arithmetic(8)
    before = policy.model.lm_head.weight.detach().clone()
    rows = Dataset.from_list([{"prompt": p.prompt, "solution": p.answer, "id": p.id} for p in problems])
    args = GRPOConfig(output_dir=str(tmp_path), per_device_train_batch_size=4, num_generations=4, max_completion_length=6, max_steps=1,
                      logging_steps=1, report_to="none", use_cpu=True, bf16=False, learning_rate=0.1, save_strategy="no", disable_tqdm=True)
    trainer = GRPOTrainer(model=policy.model, processing_class=policy.tokenizer, args=args, train_dataset=rows,
                          reward_funcs=[trl_reward(Watched(), answer_column="solution")])
    trainer.train()
    (golds, responses), = seen
    assert len(golds) == len(responses) == 4 and golds[0] in {p.answer for p in problems} and all(isinstance(r, str) for r in responses)
    log = next(row for row in trainer.state.log_history if "rewards/correct/mean" in row)
    assert log["rewards/correct/mean"] == 0.5 and log["verdict/wrong"] == 0.5
    assert not torch.equal(before, policy.model.lm_head.weight.cpu())


# functions of a user

@pytest.mark.parametrize("body", [
    "return problem.level + len(response)", "import numpy as np; return np.float64(problem.level + len(response))",
    "return problem.level + len(response) if (problem.answer, problem.id, problem.source) == ('\\\\frac{1}{2}', 'a/1', 'here') else -1",
])
def test_a_function_gets_the_problem_and_the_response(body):
    reward = from_source(f"def reward(problem, response): {body}")
    assert ask({"f": reward}, ["", "abc", "\x00\ud800€"]) == ([3, 6, 6], 0)


@pytest.mark.parametrize("source", [
    "reward = lambda problem, response: 2.0", "reward = lambda problem, response: True + 1",
    "import math as m\nTABLE = {'x': 2}\ndef helper(r): return m.sqrt(TABLE[r] ** 2)\ndef reward(p, r): return helper(r)",
    "class Reward:\n    def __init__(self, by): self.by = by\n    def __call__(self, p, r): return self.by * len(r)\nreward = Reward(2)",
    "def make(by):\n    def inner(p, r): return by * len(r)\n    return inner\nreward = make(2)",
    "def reward(p, r): return 2 if len(r) == 1 else reward(p, r[1:])",
])
def test_functions_travel_as_notebooks_write_them(source):
    assert ask({"f": from_source(source)}, ["x"]) == ([2.0], 0)


def test_functions_of_importable_modules_and_partials_travel_too():
    assert ask({"f": functools.partial(lambda by, p, r: by * len(r), 2)}, ["abc"]) == ([6.0], 0)
    assert ask({"f": operator.is_not}, ["abc"]) == ([1.0], 0)


BAD = {"raises": ("raise KeyError('what')", "KeyError: 'what'"), "nan": ("return float('nan')", "it returned nan"),
       "infinite": ("return float('-inf')", "it returned -inf"), "text": ("return '1'", "it returned '1'"),
       "none": ("return None", "TypeError"), "list": ("return [1.0]", "TypeError"), "complex": ("return 1j", "TypeError"),
       "exits": ("raise SystemExit", "SystemExit"),
       "recursion": ("f = lambda: f(); return f()", "RecursionError"), "long": ("raise ValueError('x' * 10**6)", "ValueError: xxx"),
       "hangs": ("while True: pass", "it took more than 0.5 s"), "crashes": ("import os; os._exit(1)", "it crashed"),
       "eats": ("return len(bytearray(8 << 30))", "too much memory"), "leaves": ("import os; os._exit(0)", "it crashed")}


@pytest.mark.parametrize("body, why", BAD.values(), ids=BAD.keys())
def test_what_a_function_does_wrong_is_counted_logged_and_nothing_else(body, why, caplog):
    lines = body.split("; ")
    reward = from_source("def reward(problem, response):\n    if response == 'good': return 1.5\n    " + "\n    ".join(lines))
    with caplog.at_level(logging.WARNING, "extra_nb.methods.rewards"):
        found = ask({"f": reward}, ["good", "bad", "good", "bad"], timeout=0.5 if "True" in body else SLOW)
    assert found == ([1.5, 0.0, 1.5, 0.0], 2.0)
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 2 and all(why in s and "'f'" in s and "a/1" in s and len(s) < 500 for s in said)


def test_of_many_failures_a_few_are_written_out(caplog):
    with caplog.at_level(logging.WARNING, "extra_nb.methods.rewards"): ask({"f": lambda p, r: 1 / len(r)}, [""] * 9 + ["x"])
    assert len(caplog.records) == LOGGED + 1 and f"{9 - LOGGED} other" in caplog.records[-1].getMessage()


def test_parts_have_names_weights_and_shapes():
    mechanism = CustomReward({"length": lambda p, r: len(r), "level": lambda p, r: p.level, "bad": lambda p, r: 1 / len(r)},
                             weights={"length": 0.1, "level": -2}, timeout=SLOW, workers=2)
    other = Problem("b", "?", "1", level=5)
    parts = mechanism.reward(1, [group(["a", "bb", ""]), group(["", "", "dddd"], other)])
    assert list(parts) == ["length", "level", "bad"]
    assert_close(parts["length"], torch.tensor([[0.1, 0.2, 0.0], [0.0, 0.0, 0.4]]))
    assert_close(parts["level"], torch.tensor([[-6.0] * 3, [-10.0] * 3]))
    assert_close(parts["bad"], torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.0, 0.25]]))
    mechanism.reward(1, [group(["", "x", "x"])])  # a refill of the same step
    assert mechanism.step_end(1, []) == {"reward/length_failed": 0.0, "reward/level_failed": 0.0, "reward/bad_failed": 4.0}
    assert mechanism.step_end(2, []) == {"reward/length_failed": 0.0, "reward/level_failed": 0.0, "reward/bad_failed": 0.0}
    mechanism.close()


@pytest.mark.parametrize("functions, settings, words", [
    ({}, {}, "no reward function"), ({"mean": max}, {}, "cannot be called 'mean'"), ({"a b": max}, {}, "cannot be called 'a b'"),
    ({"x_failed": max}, {}, "_failed"), ({3: max}, {}, "cannot be called 3"), ({"f": 3}, {}, "no function"), ({"f": len}, {}, "reward 'f' takes"),
    ({"f": max}, {"weights": {"g": 1.0}}, "unknown reward 'g'"), ({"f": max}, {"weights": {"f": math.nan}}, "finite number"),
    ({"f": max}, {"weights": {"f": "1"}}, "finite number"), ({"f": max}, {"timeout": 0}, "timeout=0"),
    ({"f": max}, {"workers": 0}, "workers=0"), ({"f": max}, {"memory": -1}, "memory=-1"),
])
def test_bad_settings_are_refused_in_one_line(functions, settings, words):
    with pytest.raises(InputError, match=words) as e: CustomReward(functions, **settings)
    assert "\n" not in str(e.value)


def test_a_function_that_cannot_be_sent_is_named():
    numbers = (i for i in range(9))
    with pytest.raises(InputError, match="reward 'second' cannot be sent to another process") as e:
        CustomReward({"first": lambda p, r: 1.0, "second": lambda p, r: next(numbers)})
    assert "generator" in str(e.value) and "\n" not in str(e.value)


def test_a_function_that_cannot_be_loaded_is_found_before_training(tmp_path, monkeypatch):
    (tmp_path / "soon_gone.py").write_text("def reward(problem, response): return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    import soon_gone

    mechanism = CustomReward({"f": soon_gone.reward}, timeout=SLOW, workers=1)
    (tmp_path / "soon_gone.py").unlink()
    with pytest.raises(InputError, match="No module named 'soon_gone'") as e: mechanism.setup(None, None)
    assert "\n" not in str(e.value)
    mechanism.close()


# in a run

class Judge:
    "A verifier that accepts responses of even length."

    def judge(self, problems, responses):
        return [Verdict(True, "correct") if len(r) % 2 == 0 else Verdict(False, "wrong") for r in responses]


def run(mechanisms, steps, **settings):
    problems = arithmetic(24, levels=(2, 3), seed=2)
    trainer = Trainer(tiny_policy(), problems, mechanisms, say=None, steps=steps, problems_per_step=4, group_size=4, max_new_tokens=12,
                      lr=3e-3, verifier=Judge(), **settings)
    return trainer.fit()


def test_it_trains_with_good_and_bad_functions(tmp_path):
    def fails(problem, response):
        if len(response) % 3 == 0: raise ValueError(response)
        return 1.0

    mechanism = CustomReward({"brevity": lambda p, r: -float(len(r)), "fails": fails}, weights={"brevity": 0.1}, timeout=SLOW, workers=1)
    history = run([mechanism], 3, out=tmp_path)
    assert len(history) == 3 and all(-8.4 <= m["reward/brevity"] < 0 for m in history)
    for m in history:
        assert m["reward/brevity_failed"] == 0 and m["reward/fails_failed"] == 16 - 16 * m["reward/fails"]
        assert math.isfinite(m["loss/policy"])
    assert sum(m["reward/fails_failed"] for m in history) > 0
    mechanism.close()


def test_the_part_is_learned():
    "Short responses are paid for by the function alone; the task reward is the same for all."
    class Never:
        def judge(self, problems, responses): return [Verdict(False, "wrong")] * len(responses)

    mechanism = CustomReward({"brevity": lambda p, r: -float(len(r))}, timeout=SLOW, workers=1)
    policy = tiny_policy()
    trainer = Trainer(policy, arithmetic(24), [mechanism], say=None, steps=12, problems_per_step=8, group_size=8, max_new_tokens=12,
                      lr=1e-2, verifier=Never())
    lengths = [m["response/length_mean"] for m in trainer.fit()]
    mechanism.close()
    assert sum(lengths[-3:]) < 0.7 * sum(lengths[:3])


def test_a_run_goes_on_with_a_function_that_often_hangs():
    mechanism = CustomReward({"hangs": lambda p, r: __import__("time").sleep(600 * (len(r) % 3 > 0)) or 1.0}, timeout=0.1, workers=2)
    (m,) = run([mechanism], 1)
    assert 0 < m["reward/hangs_failed"] < 16
    mechanism.close()


@pytest.mark.parametrize("function, why", [
    (lambda p, r: __import__("time").sleep(600), "it took more than 0.1 s"), (lambda p, r: 1 / 0, "ZeroDivisionError"), (lambda p, r: None, "NoneType")])
def test_a_function_that_always_fails_ends_the_run(function, why):
    mechanism = CustomReward({"always": function}, timeout=0.1, workers=2)
    with pytest.raises(InputError, match="reward 'always' failed on all 16 responses: ") as e: run([mechanism], 3)
    assert why in str(e.value) and "expected is always(problem, response) -> one finite number" in str(e.value) and "\n" not in str(e.value)


# from a file

def test_load_reward(tmp_path):
    file = tmp_path / "my rewards.py"
    file.write_text("from dataclasses import dataclass\nimport re\n\n@dataclass\nclass Part:\n    n: int\n\nPATTERN = re.compile('a')\n\n"
                    "def count(problem, response): return Part(len(PATTERN.findall(response))).n\n\ndef other(p, r): return _hidden(r)\n\n"
                    "def _hidden(r): return 1.0\n")
    assert ask({"f": load_reward(f"{file}:count")}, ["aba", "b"]) == ([2.0, 0.0], 0)
    assert ask({"f": load_reward(f"{file}:other")}, ["aba"]) == ([1.0], 0)
    assert not any("my rewards" in name for name in sys.modules)


@pytest.mark.parametrize("where, words", [
    ("rewards.py", "rewards.py:brevity"), (":f", "a file and a function"), ("rewards.py:", "a file and a function"),
    ("gone.py:f", "there is no file gone.py"), ("rewards.py:cuont", "did you mean 'count'"), ("rewards.py:LIMIT", "known: count"),
    ("broken.py:f", "SyntaxError"), ("needs.py:f", "No module named"), ("leaves.py:f", "SystemExit"),
    ("folder:f", "there is no file folder"),
])
def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path, monkeypatch, where, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rewards.py").write_text("LIMIT = 3\ndef count(problem, response): return 1.0\n")
    (tmp_path / "broken.py").write_text("def f(:\n    pass\n")
    (tmp_path / "needs.py").write_text("import no_such_module\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=words) as e: load_reward(where)
    assert "\n" not in str(e.value)


# tried out beforehand

@pytest.mark.parametrize("function, words", [
    (lambda problem, response: 1.0, None), (lambda problem, response: True, None), (lambda problem, response: len(problem.prompt + response), None), (lambda problem, response: len(problem.turns), None),
    (lambda problem, response: [1.0], "list"), (lambda problem, response: "1", "'1'"), (lambda problem, response: 1 / 0, "ZeroDivisionError"), (lambda problem, response: float("inf"), "inf"),
    (lambda problem, response: {"reward": 1.0}, "dict"), (lambda problem, response: os._exit(1), "crashes")])
def test_a_reward_is_tried_out_once(function, words):
    reward = CustomReward({"mine": function}, timeout=5, workers=1)
    try:
        if words is None: return reward.try_out(PROBLEM)
        with pytest.raises(InputError, match="reward 'mine'") as e: reward.try_out(PROBLEM)
        assert words in str(e.value) and "mine(problem, response) -> one finite number" in str(e.value) and "\n" not in str(e.value)
    finally: reward.close()


def test_the_first_call_may_take_longer_than_the_others(monkeypatch):
    import extra_nb.methods.rewards as rewards
    monkeypatch.setattr(rewards, "FIRST_CALL", 6.0)

    def slow_at_first(problem, response):
        import sys
        import time
        if not hasattr(sys, "seen_by_this_test"): time.sleep(1.5)
        sys.seen_by_this_test = True
        return 1.0

    def slow(problem, response):
        import time
        time.sleep(1.5)
        return 1.0

    for function, fails in ((slow_at_first, False), (slow, True)):
        reward = CustomReward({"mine": function}, timeout=0.7, workers=1)
        if fails:
            with pytest.raises(InputError, match="more than 0.7 s"): reward.try_out(PROBLEM)
        else: reward.try_out(PROBLEM)
        reward.close()
