"""pass@k, intervals and comparisons on many inputs; evaluations that survive the disk; an evaluation of a tiny policy."""
import gzip
import json
import math
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import extra_nb.evaluate as module
from extra_nb.evaluate import Evaluation, ProblemResult, average, bootstrap_interval, compare_evaluations, evaluate, pass_at_k, score_interval, wilson_interval
from extra_nb.policy import tiny_policy
from extra_nb.types import REASONS, InputError, Problem, Rollout, Verdict
from extra_nb.verifier import Verifier


def result(id, reasons, tokens=None, finish=None):
    n = len(reasons)
    extracted = tuple("9" if r == "correct" else None for r in reasons)
    return ProblemResult(id, "9", tuple(f"text {i}" for i in range(n)), tuple(reasons), extracted,
                         tuple(tokens or [5] * n), tuple(finish or ["stop"] * n))


def counted(name, counts, n=8, ids=None):
    "An evaluation with the given numbers of right responses."
    ids = ids or [f"p{i}" for i in range(len(counts))]
    return Evaluation(name, tuple(result(i, ["correct"] * c + ["wrong"] * (n - c)) for i, c in zip(ids, counts)))


# pass@k

n_c_k = st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@given(n_c_k)
def test_pass_at_k_by_enumeration(nck):
    n, c, k = nck
    found = [any(chosen) for chosen in combinations([True] * c + [False] * (n - c), k)]
    assert pass_at_k(n, c, k) == pytest.approx(sum(found) / len(found), abs=1e-12)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
@settings(max_examples=50, deadline=None)
def test_pass_at_k_with_exact_fractions(nck):
    n, c, k = nck
    exact = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    assert pass_at_k(n, c, k) == pytest.approx(float(exact), abs=1e-9)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("n, k", [(4, 4), (16, 8), (32, 16)])
def test_pass_at_k_is_unbiased(n, k, p):
    mean = sum(math.comb(n, c) * p**c * (1 - p) ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1))
    assert mean == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


def test_pass_at_k_of_arrays():
    n, c = np.array([4, 8, 16]), np.array([1, 8, 0])
    assert pass_at_k(n, c, 2).tolist() == pytest.approx([pass_at_k(int(a), int(b), 2) for a, b in zip(n, c)])
    assert pass_at_k(8, c, 1).shape == (3,) and pass_at_k(8, c.reshape(3, 1), 1).shape == (3, 1)
    assert type(pass_at_k(4, 1, 2)) is float
    assert pass_at_k(10, np.arange(11), 1) == pytest.approx(np.arange(11) / 10)


@pytest.mark.parametrize("n, c, k, said", [(8, 1, 16, "n=8"), (8, 9, 1, "c=9"), (8, -1, 1, "c=-1"), (8, 1, 0, "k=0"), (0, 0, 1, "n=0"),
                                           (np.array([16, 8]), 1, 16, "n=8")])
def test_pass_at_k_refuses(n, c, k, said):
    with pytest.raises(InputError) as e: pass_at_k(n, c, k)
    assert said in str(e.value) and "\n" not in str(e.value)


def hand_checks():
    "What 09_evaluate shows to its reader about pass@k."
    f = module.pass_at_k
    assert f(4, 1, 2) == pytest.approx(0.5) and f(4, 3, 2) == 1
    assert [f(6, c, 3) for c in range(7)] == pytest.approx([0, 0.5, 0.8, 0.95, 1, 1, 1])


FAULTS = {"plug-in": lambda n, c, k: 1 - (1 - c / n) ** k, "share": lambda n, c, k: c / n, "any": lambda n, c, k: float(c > 0),
          "first k": lambda n, c, k: min(1, c * k / n), "all k": lambda n, c, k: math.comb(c, k) / math.comb(n, k),
          "n and k exchanged": lambda n, c, k: 1 - math.comb(n - k, c) / math.comb(n, k)}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_noticed(fault, monkeypatch):
    hand_checks()
    monkeypatch.setattr(module, "pass_at_k", FAULTS[fault])
    with pytest.raises(AssertionError): hand_checks()


# intervals

@pytest.mark.parametrize("N, p", [(40, 0.3), (400, 0.5), (2000, 0.9)])
def test_bootstrap_agrees_with_the_standard_error(N, p):
    values = np.array([1.0] * round(N * p) + [0.0] * (N - round(N * p)))
    half = 1.96 * values.std() / math.sqrt(N)
    low, high = bootstrap_interval(values)
    assert low == pytest.approx(p - half, abs=0.2 * half) and high == pytest.approx(p + half, abs=0.2 * half)


def test_bootstrap_level_seed_and_order():
    values = np.random.default_rng(0).random(50)
    wide, narrow = bootstrap_interval(values, level=0.99), bootstrap_interval(values, level=0.5)
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]
    assert bootstrap_interval(values) == bootstrap_interval(values) != bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values.tolist()) == bootstrap_interval(values)


def test_bootstrap_over_more_problems_than_fit_a_block():
    low, high = bootstrap_interval(np.random.default_rng(0).random(1_200_000), resamples=20)  # one resample at a time
    assert 0.498 < low < high < 0.502


@pytest.mark.parametrize("values, kwargs", [([], {}), ([1.0], dict(level=0)), ([1.0], dict(level=95))])
def test_bootstrap_refuses(values, kwargs):
    with pytest.raises(InputError): bootstrap_interval(values, **kwargs)


@pytest.mark.parametrize("n", [1, 2, 9, 30, 500])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_wilson_covers_about_as_often_as_it_says(n, level):
    "Averaged over true rates, the exact coverage is close to the level; [0, 0] would cover none of them."
    ends = [wilson_interval(c, n, level) for c in range(n + 1)]
    assert all(0 <= low < high <= 1 for low, high in ends) and np.allclose(ends, 1 - np.array(ends)[::-1, ::-1])
    covered = [sum(math.comb(n, c) * p**c * (1 - p) ** (n - c) for c, (low, high) in enumerate(ends) if low <= p <= high) for p in np.linspace(0.01, 0.99, 99)]
    if n >= 9: assert np.mean(covered) == pytest.approx(level, abs=0.06)


@pytest.mark.parametrize("right, n, level", [(3, 2, 0.9), (-1, 5, 0.9), (0, 0, 0.9), (1, 2, 0.0), (1, 2, 1.0)])
def test_wilson_refuses(right, n, level):
    with pytest.raises(InputError): wilson_interval(right, n, level)


@pytest.mark.parametrize("N", [1, 9, 30])
def test_equal_scores_of_0_or_1_have_wilsons_interval_and_no_others(N):
    assert score_interval(np.zeros(N)) == pytest.approx(wilson_interval(0, N)) and score_interval(np.ones(N)) == pytest.approx(wilson_interval(N, N))
    assert score_interval(np.full(N, 0.25)) == (0.25, 0.25)
    mixed = [0.0] * N + [1.0]
    assert score_interval(mixed, seed=3) == bootstrap_interval(mixed, seed=3)


@pytest.mark.parametrize("right", [0, 8])
def test_an_evaluation_in_which_all_or_nothing_was_solved_is_not_certain(right):
    one, two = counted("one", [right] * 30), counted("two", [right] * 10)
    low, high = one.summary([8])["pass@8_ci"]
    assert (low, high) == pytest.approx(wilson_interval(30 * right // 8, 30)) and high - low > 0.1
    rows = average([one, two], [1])
    assert rows[-1]["pass@1_ci"][1] - rows[-1]["pass@1_ci"][0] > 0.1
    assert compare_evaluations(one, counted("one", [right] * 30), 1)["ci"] == [0, 0]  # a difference is no rate


def test_a_benchmark_without_a_success_widens_the_average():
    some, none = counted("some", [0, 8, 4, 4, 2, 6]), counted("none", [0] * 6)
    own, mean = some.summary([1])["pass@1_ci"], average([some, none], [1])[-1]
    assert mean["pass@1"] == pytest.approx(0.25)
    assert mean["pass@1_ci"][0] == pytest.approx(own[0] / 2) and mean["pass@1_ci"][1] > own[1] / 2


# evaluations

def test_summary_by_hand():
    e = Evaluation("s", (result("a", ["correct", "wrong", "timeout", "correct"], [1, 2, 3, 4], ["stop", "length", "length", "stop"]),
                         result("b", ["no_answer", "unparseable", "wrong", "wrong"], [10, 10, 10, 10])))
    found = e.summary([1, 2])
    assert found["pass@1"] == pytest.approx(0.25) and found["pass@2"] == pytest.approx((1 - 1 / 6) / 2)
    assert found["pass@1_ci"] == list(bootstrap_interval([0.5, 0.0]))
    assert (found["problems"], found["samples"], found["tokens"], found["truncated"]) == (2, 4, 50, 0.25)
    assert found["reasons"] == {"correct": 0.25, "wrong": 0.375, "no_answer": 0.125, "unparseable": 0.125, "timeout": 0.125}
    assert tuple(found["reasons"]) == REASONS and json.loads(json.dumps(found)) == found
    with pytest.raises(InputError, match="pass@5"): e.summary([5])


@pytest.mark.parametrize("results, said", [((), "no problems"), ((result("a", ["wrong"]), result("b", ["wrong"] * 2)), "1 and with 2"),
                                           ((result("a", ["wrong"]), result("a", ["wrong"])), "more than once")])
def test_evaluations_that_make_no_sense(results, said):
    with pytest.raises(InputError, match=said): Evaluation("x", results)


ODD_RESULT = ProblemResult("a/1", "½", ("line\nline", "quote \" \u2028 tab\t", "多", ""), ("wrong", "no_answer", "correct", "timeout"),
                           ("7", None, "½", None), (3, 4, 1, 9), ("stop", "length", "stop", "length"))
ODD = Evaluation("odd", (ODD_RESULT,), {"seed": 1, "top_p": 0.9})


@pytest.mark.parametrize("file", ["e.jsonl", "deep/er/e.jsonl.gz"])
def test_saved_and_loaded(tmp_path, file):
    path = ODD.save(tmp_path / file)
    assert Evaluation.load(path) == ODD and Evaluation.load(str(path)) == ODD
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing unfinished is left
    lines = (gzip.open if file.endswith("gz") else open)(path, "rt", encoding="utf-8").read().split("\n")
    assert len(lines) == 2 and json.loads(lines[0])["correct"] == 1


def test_saving_again_replaces(tmp_path):
    counted("x", [1, 2]).save(tmp_path / "e.jsonl")
    counted("x", [3]).save(tmp_path / "e.jsonl")
    assert Evaluation.load(tmp_path / "e.jsonl").correct.tolist() == [3]


GOOD = json.dumps({"name": "x", "id": "a", "answer": "9", "responses": ["t"], "reasons": ["wrong"], "extracted": [None], "tokens": [1],
                   "finish_reasons": ["stop"], "correct": 0, "settings": {}})


@pytest.mark.parametrize("text, said", [(GOOD + "\n{", "line 2"), (GOOD + "\n[1]", "line 2"), (GOOD + '\n{"id": "b"}', "answer"),
                                        ("", "0 evaluations"),
                                        (GOOD + "\n" + GOOD.replace('"x"', '"y"').replace('"a"', '"b"'), "2 evaluations")])
def test_files_that_are_no_evaluation(tmp_path, text, said):
    (tmp_path / "e.jsonl").write_text(text)
    with pytest.raises(InputError, match=said) as e: Evaluation.load(tmp_path / "e.jsonl")
    assert "\n" not in str(e.value) and "e.jsonl" in str(e.value)


def test_missing_and_cut_files(tmp_path):
    with pytest.raises(InputError, match="nowhere"): Evaluation.load(tmp_path / "nowhere.jsonl")
    path = counted("x", range(9)).save(tmp_path / "e.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="EOFError"): Evaluation.load(path)
    path.write_bytes(b"not compressed at all")
    with pytest.raises(InputError, match="e.jsonl.gz"): Evaluation.load(path)


# comparisons

def test_compare_by_hand():
    found = compare_evaluations(counted("x", [0, 4, 8, 2]), counted("x", [8, 4, 8, 0]), 1)
    assert (found["before"], found["after"], found["difference"]) == pytest.approx((14 / 32, 20 / 32, 6 / 32))
    assert (found["better"], found["worse"], found["problems"], found["k"]) == (1, 1, 4, 1)
    assert found["ci"] == list(bootstrap_interval([1.0, 0.0, 0.0, -0.25])) and json.loads(json.dumps(found)) == found


def test_problems_are_paired_by_id_and_not_by_position():
    a, b = counted("x", [0, 4, 8], ids=["p", "q", "r"]), counted("x", [8, 0, 4], ids=["r", "p", "q"])
    found = compare_evaluations(a, b, 1)
    assert found["difference"] == 0 and found["ci"] == [0, 0] and found["better"] == found["worse"] == 0


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, 100)
    before, after = counted("x", counts), counted("x", np.minimum(counts + rng.integers(0, 2, 100), 8))
    low, high = compare_evaluations(before, after, 1)["ci"]
    apart = [bootstrap_interval(e.scores(1)) for e in (before, after)]
    assert low > 0 and apart[0][1] > apart[1][0]  # a clear gain, although the two intervals overlap
    assert high - low < 0.3 * (apart[0][1] - apart[0][0])


def test_several_benchmarks_count_the_same():
    big, small = [counted("big", [4] * 100), counted("big", [6] * 100)], [counted("small", [0, 2]), counted("small", [0, 0])]
    found = compare_evaluations([big[0], small[0]], [small[1], big[1]], 1)
    assert found["difference"] == pytest.approx((0.25 - 0.125) / 2) and found["problems"] == 102
    assert (found["before"], found["after"]) == pytest.approx(((0.5 + 0.125) / 2, (0.75 + 0) / 2))
    rows = average([big[0], small[0]], [1, 8])
    assert [r["name"] for r in rows] == ["big", "small", "average"] and rows[-1]["pass@1"] == pytest.approx(found["before"])
    assert rows[-1]["problems"] == 102 and rows[-1]["tokens"] == 102 * 40 and json.loads(json.dumps(rows)) == rows
    assert rows[0] == {"name": "big", **big[0].summary([1, 8])}


def test_the_average_of_one_benchmark_is_that_benchmark():
    one = counted("one", [0, 3, 8, 1, 1])
    row, mean = average([one], [1, 4])
    for key in ("pass@1", "pass@1_ci", "pass@4", "pass@4_ci", "problems", "tokens"): assert mean[key] == pytest.approx(row[key])


@pytest.mark.parametrize("after, said", [([counted("y", [1])], "cannot pair"), ([counted("x", [1]), counted("x", [1])], "cannot pair"),
                                         ([counted("x", [1], ids=["q"])], "2 occur in only one")])
def test_what_cannot_be_paired(after, said):
    with pytest.raises(InputError, match=said): compare_evaluations(counted("x", [1]), after, 1)


# evaluating a policy

class Spy:
    "Right if the answer's digit occurs; remembers what it was asked."
    def __init__(self): self.calls = []

    def judge(self, problems, responses):
        self.calls.append(len(problems))
        right = [p.answer in text for p, text in zip(problems, responses, strict=True)]
        return [Verdict(True, "correct", "digit") if r else Verdict(False, "wrong") for r in right]


PROBLEMS = [Problem(f"p{i}", "1+" * i + "1", str(i + 1)) for i in range(5)]
SETTINGS = dict(max_new_tokens=10, samples=6, ks=(1, 4), temperature=1.0, top_p=1.0)


@pytest.fixture(scope="module")
def policy(): return tiny_policy()


@pytest.fixture(scope="module")
def found(policy): return evaluate(policy, PROBLEMS, Spy(), name="tiny", **SETTINGS)


def test_each_response_is_judged_against_its_own_problem(found):
    assert found.ids == tuple(p.id for p in PROBLEMS) and found.n == 6 and 0 < found.correct.sum() < 30
    for problem, r in zip(PROBLEMS, found.results):
        assert r.answer == problem.answer and r.reasons == tuple("correct" if problem.answer in text else "wrong" for text in r.responses)
        assert all(1 <= n <= 10 for n in r.tokens) and set(r.finish_reasons) <= {"stop", "length"}
        assert all(n == 10 for n, f in zip(r.tokens, r.finish_reasons) if f == "length")
    assert found.settings == dict(policy="tiny", samples=6, temperature=1.0, top_p=1.0, max_new_tokens=10, seed=0)


@pytest.mark.parametrize("batch_rows, calls", [(1, [6] * 5), (12, [12, 12, 6]), (17, [12, 12, 6]), (1000, [30])])
def test_batches_change_memory_and_nothing_else(policy, found, batch_rows, calls):
    spy, seen = Spy(), []
    again = evaluate(policy, PROBLEMS, spy, name="tiny", batch_rows=batch_rows, progress=lambda *x: seen.append(x), **SETTINGS)
    assert again == found and spy.calls == calls
    assert seen == [(sum(calls[: i + 1]) // 6, 5) for i in range(len(calls))]


def test_a_seed_is_a_different_sample(policy, found):
    other = evaluate(policy, PROBLEMS, Spy(), name="tiny", seed=1, **SETTINGS)
    assert other.ids == found.ids and [r.responses for r in other.results] != [r.responses for r in found.results]


def test_the_kept_file_gives_the_same_scores(found, tmp_path):
    assert Evaluation.load(found.save(tmp_path / "e.jsonl")).summary([1, 4]) == found.summary([1, 4])


@pytest.mark.parametrize("change, said", [(dict(ks=(1, 16)), "pass@16"), (dict(max_new_tokens=10**6), "context"),
                                          (dict(problems=[]), "no problems"), (dict(problems=[PROBLEMS[0]] * 2), "more than once"),
                                          (dict(samples=0, ks=()), "n=0")])
def test_refused_before_anything_is_generated(policy, monkeypatch, change, said):
    monkeypatch.setattr(module, "sample", lambda *args, **kwargs: pytest.fail("it began to sample"))
    settings = {"problems": PROBLEMS, **SETTINGS, **change}
    with pytest.raises(InputError, match=said): evaluate(policy, settings.pop("problems"), None, **settings)


def test_a_problem_that_does_not_fit_is_found_before_the_others_are_sampled(policy, monkeypatch):
    monkeypatch.setattr(module, "sample", lambda *args, **kwargs: pytest.fail("it began to sample"))
    long = replace(PROBLEMS[0], id="long", prompt="1" * 1000)
    with pytest.raises(InputError, match="long"): evaluate(policy, [*PROBLEMS, long], Spy(), **SETTINGS)


def test_with_the_verifier_of_a_real_run(policy, monkeypatch):
    "Every second response to problem i states the answer of problem i + 1: judged against its own problem it is wrong."
    def stated(policy, requests, G, **settings):
        def rollout(request, i):
            text = r"\boxed{%d}" % (int(request.problem.answer) + i % 2) if i < 4 else "I give up"
            return Rollout(request, i, torch.zeros(3, dtype=torch.int64), torch.zeros(3), torch.zeros(3), "stop", text)
        return [tuple(rollout(request, i) for i in range(G)) for request in requests]
    monkeypatch.setattr(module, "sample", stated)
    with Verifier() as verifier: found = evaluate(policy, PROBLEMS, verifier, **SETTINGS)
    assert all(r.reasons == ("correct", "wrong", "correct", "wrong", "no_answer", "no_answer") for r in found.results)
    assert found.results[2].extracted == ("3", "4", "3", "4", None, None)
