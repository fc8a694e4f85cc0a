"Tasks: generated sums, real sets, drawing, splits and the resumable stream."
import gzip
import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extra_nb.tasks import (
    BENCHMARKS,
    ProblemStream,
    arithmetic,
    load_problems,
    overlap,
    split_heldout,
    worked_solution,
)
from extra_nb.types import InputError, Problem, Turn


def write(path, *rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8").write(text)
    return path


@pytest.mark.parametrize("operations", ["+", "-", "+-"])
@pytest.mark.parametrize("levels", [(2, 2), (2, 6), (5, 30)])
def test_arithmetic_is_right_unique_and_repeatable(levels, operations):
    problems = arithmetic(80, levels, seed=3, operations=operations)
    assert problems == arithmetic(80, levels, seed=3, operations=operations)
    assert len({p.id for p in problems}) == len({p.prompt for p in problems}) == 80
    for p in problems:
        assert re.fullmatch(rf"[1-9]([{re.escape(operations)}][1-9])*", p.prompt)
        assert p.answer == str(eval(p.prompt)) and p.id == f"arithmetic/{p.level}/{p.prompt}"
        assert len(re.findall(r"\d", p.prompt)) == p.level and levels[0] <= p.level <= levels[1]
        *steps, box = worked_solution(p).split("\n")
        assert box == f"\\boxed{{{p.answer}}}" and len(steps) == p.level - 1
        assert all(eval(s.split("=")[0]) == int(s.split("=")[1]) for s in steps)
        assert [s.split("=")[1] for s in steps[:-1]] == [re.match(r"-?\d+", s)[0] for s in steps[1:]]  # each step starts from the last


@given(n=st.integers(1, 400), low=st.integers(2, 4), width=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_arithmetic_levels_are_even_where_they_can_be(n, low, width):
    exist = {k: 9**k for k in range(low, low + width + 1)}
    if n > sum(exist.values()): return
    counts = Counter(p.level for p in arithmetic(n, (low, low + width)))
    assert sum(counts.values()) == n
    unfilled = [counts[k] for k in exist if counts[k] < exist[k]]
    assert not unfilled or max(counts.values()) - min(unfilled) <= 1


def test_arithmetic_gives_all_there_are_and_no_more():
    assert len(arithmetic(81 + 729, (2, 3))) == 810
    assert arithmetic(81, (2, 2), seed=0) != arithmetic(81, (2, 2), seed=1)
    with pytest.raises(InputError, match="811.*810"): arithmetic(811, (2, 3))


@pytest.mark.parametrize("kwargs", [dict(n=0), dict(n=5, levels=(1, 3)), dict(n=5, levels=(4, 3)), dict(n=5, levels=(2, 3, 4)),
                                    dict(n=5, operations="*"), dict(n=5, operations=""), dict(n=5, operations="++")])
def test_arithmetic_refuses(kwargs):
    with pytest.raises(InputError) as e: arithmetic(**kwargs)
    assert "\n" not in str(e.value)


def test_worked_solution_refuses_other_problems():
    with pytest.raises(InputError, match="gsm8k/1"): worked_solution(Problem("gsm8k/1", "How many?", "3"))


@pytest.mark.parametrize("name", ["arithmetic", "arithmetic:2", "arithmetic:2-5"])
def test_generated_by_name(name):
    assert len(load_problems(name).problems) == (81 if name == "arithmetic:2" else 1000)
    first, again, other = (load_problems(name, n=20, seed=seed).problems for seed in (1, 1, 2))
    assert first == again != other


def test_n_draws_at_random_and_in_order(tmp_path):
    path = str(write(tmp_path / "f.jsonl", *({"problem": f"q{i}", "answer": i} for i in range(50))))
    drawn = [int(p.answer) for p in load_problems(path, n=10, seed=1).problems]
    assert drawn == sorted(drawn) and drawn != list(range(10)) and len(set(drawn)) == 10
    assert drawn != [int(p.answer) for p in load_problems(path, n=10, seed=2).problems]
    assert len(load_problems(path, n=50).problems) == 50
    for n in (0, 51):
        with pytest.raises(InputError, match=f"n={n}"): load_problems(path, n=n)
    with pytest.raises(InputError, match="no splits"): load_problems(path, split="test")


def test_real_sets_load_and_account_for_every_row(shared):
    sizes = {"math500": 500, "amc23": 40, "minerva": 272, "olympiadbench": 674, "aime24": 30, "aime25": 30, "gsm8k": 7473,
             "math-12k": 12000, "dapo-math-17k": 17917}
    loaded = {name: load_problems(name, data_dir=shared / "data") for name in sizes}
    for name, size in sizes.items():
        assert len(loaded[name].problems) + len(loaded[name].skipped) == size, name
        assert len({p.id for p in loaded[name].problems}) == len(loaded[name].problems)
        assert all(p.prompt and p.answer and p.source == name for p in loaded[name].problems)
    reasons = {name: Counter(r for _, r in x.skipped) for name, x in loaded.items() if x.skipped}
    assert reasons == {"math-12k": {"repeated question": 2, "empty answer": 2},
                       "dapo-math-17k": {"repeated question": 717, "conflicting answers": 24}}
    kept = {p.id for p in loaded["dapo-math-17k"].problems}
    assert not kept & {"dapo/35", "dapo/179", "dapo/5785", "dapo/10267"}  # two golds for one question
    assert load_problems("aime24", data_dir=shared / "data" / "eval").problems == loaded["aime24"].problems
    assert len(load_problems("gsm8k", data_dir=shared / "data", split="test").problems) == 1319

    exam = [p for name in BENCHMARKS for p in loaded[name].problems]
    assert sorted(p.id for p in overlap(loaded["dapo-math-17k"].problems, exam)) == sorted(
        f"dapo/{i}" for i in (6216, 17762, 6170, 6090, 15860, 15900, 14720, 15868, 15876, 11279))


@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=5), share=st.floats(0.01, 0.99), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_split_heldout(counts, share, seed):
    problems = [Problem(f"{level}/{i}", "q", "a", level=level or None) for level, c in enumerate(counts) for i in range(c)]
    n = max(1, min(len(problems) - 1, int(share * len(problems))))
    if len(problems) < 2: return
    train, heldout = split_heldout(problems, n, seed)
    assert (train, heldout) == split_heldout(problems, n, seed)
    assert len(heldout) == n and sorted(p.id for p in train + heldout) == sorted(p.id for p in problems)
    for level, c in enumerate(counts):
        assert abs(sum(p.level == (level or None) for p in heldout) - n * c / len(problems)) < 1


def test_split_heldout_depends_on_the_seed_and_refuses_nonsense():
    problems = arithmetic(50)
    assert split_heldout(problems, 10, 0) != split_heldout(problems, 10, 1)
    for n in (0, 50, 51):
        with pytest.raises(InputError): split_heldout(problems, n)


@given(size=st.integers(1, 12), before=st.lists(st.integers(1, 12), max_size=8),
       after=st.lists(st.integers(1, 12), max_size=8), seed=st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_stream_resumes_exactly_and_deals_each_problem_once_per_epoch(size, before, after, seed):
    problems = [Problem(str(i), "q", "a") for i in range(size)]
    stream, resumed = ProblemStream(problems, seed), ProblemStream(problems, seed=77)
    dealt = [p for n in before for p in stream.next(min(n, size))]
    resumed.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    for n in after:
        expected = stream.next(min(n, size))
        assert resumed.next(min(n, size)) == expected
        dealt += expected
    for start in range(0, len(dealt) - size + 1, size): assert len({p.id for p in dealt[start : start + size]}) == size
    assert len(json.dumps(stream.state_dict())) < 200


def test_stream_orders_differ_by_epoch_and_seed():
    problems = arithmetic(81, (2, 2))
    stream = ProblemStream(problems, 1)
    first, second = stream.next(81), stream.next(81)
    assert first != second and first != problems and ProblemStream(problems, 2).next(81) != first == ProblemStream(problems, 1).next(81)


@pytest.mark.parametrize("change", ["answer", "order", "fewer"])
def test_stream_refuses_the_state_of_other_problems(change):
    problems = [Problem(str(i), "q", "a") for i in range(5)]
    other = {"answer": problems[:4] + [Problem("4", "q", "b")], "order": problems[::-1], "fewer": problems[:4]}[change]
    with pytest.raises(InputError, match="another set"): ProblemStream(other).load_state_dict(ProblemStream(problems).state_dict())


def test_stream_refuses_bad_input():
    problems = [Problem(str(i), "q", "a") for i in range(5)]
    with pytest.raises(InputError, match="got none"): ProblemStream([])
    with pytest.raises(InputError, match="'3'"): ProblemStream(problems + [problems[3]])
    for n in (0, 6):
        with pytest.raises(InputError): ProblemStream(problems).next(n)


def test_a_problem_comes_back_from_json_as_it_was():
    "As it does from a checkpoint: in the queue of a mechanism, or in its memory."
    from dataclasses import asdict

    problem = Problem("a", "and 2+2?", "4", "chat", 2, (Turn("system", "be brief"), Turn("assistant", "yes?")), ("box",), False)
    again = Problem(**json.loads(json.dumps(asdict(problem))))
    assert again == problem and hash(again) == hash(problem) and again.turns[0].role == "system"
