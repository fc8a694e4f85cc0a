"The mix of a training step, and the race on it."
import pytest
from benching import Stub, write

from extra_nb.bench.mix import HOSTILE, KINDS, garbled, race, read_solutions, speed_mix
from extra_nb.bench.pairs import Pair
from extra_nb.types import InputError


def kinds(mix): return [p.id.rsplit("/", 1)[1] for p in mix]


@pytest.mark.parametrize("n, hostile", [(1, 0.0), (10, 0.1), (400, 0.01), (1000, 0.0), (1000, 0.05), (50, 1.0)])
def test_the_mix_has_its_promised_shares(sources, n, hostile):
    mix = speed_mix(sources, n, hostile)
    counts = {kind: kinds(mix).count(kind) for kind in (*KINDS, "hostile")}
    assert len(mix) == n == sum(counts.values()) and counts["hostile"] == round(n * hostile)
    for kind, share in KINDS.items(): assert abs(counts[kind] - share * (n - counts["hostile"])) <= 1
    assert len({p.id for p in mix}) == n


def test_the_mix_is_what_its_seed_says(sources):
    mix = speed_mix(sources, 300, 0.02, seed=4)
    assert mix == speed_mix(sources, 300, 0.02, seed=4) != speed_mix(sources, 300, 0.02, seed=5)
    assert kinds(mix) != sorted(kinds(mix))  # hostile ones stand anywhere


def test_right_is_right_and_wrong_is_wrong_and_both_files_are_used(sources):
    mix = speed_mix(sources, 600, 0.01)
    for p, kind in zip(mix, kinds(mix)):
        boxed = p.prediction.rsplit("\\boxed{", 1)[-1].rstrip("$.").removesuffix("}")
        if kind in ("right", "wrong"): assert (boxed == p.gold) == (kind == "right") == p.equal
        else: assert not p.equal
    share = sum("frac" in p.gold for p in mix) / 600
    assert 0.35 < share < 0.65  # six standard deviations


def test_a_generations_last_number_is_its_answer(tmp_path):
    rows = [{"gold": "1", "prediction": p, "equal": True} for p in ("2 + 3 = 5", "cost: $1,250.50.", "x \\boxed{7} 8", "none", "")]
    assert [p.prediction for p in read_solutions(write(tmp_path / "g.jsonl", rows))] == [
        "2 + 3 = 5\n\\boxed{5}", "cost: $1,250.50.\n\\boxed{1,250.50}", "x \\boxed{7} 8", "none", ""]


def test_a_benchmark_of_one_answer_still_has_a_wrong_one(tmp_path):
    right, wrong = read_solutions(write(tmp_path / "b.jsonl", [{"problem": "1+1", "answer": "2"}]))
    assert right.equal and not wrong.equal and "\\boxed{2}" in right.prediction and "\\boxed{2}" not in wrong.prediction


@pytest.mark.parametrize("row, said", [({"problem": "1+1"}, "no field 'answer'"), ({"problem": "1+1", "answer": 2}, "answer=2"),
                                       ({"gold": "2", "prediction": "2"}, "no field 'equal'"), ({}, "no field 'gold'")])
def test_sources_that_are_none_are_named(row, said, tmp_path):
    with pytest.raises(InputError, match="line 1") as e: speed_mix([write(tmp_path / "x.jsonl", [row])], 5)
    assert said in str(e.value)


def test_garbled_is_changed_in_form_only():
    from random import Random

    rng, text = Random(0), "it is \\boxed{\\frac{1}{2}}."
    made = {garbled(text, rng) for _ in range(300)}
    assert len(made) > 10 and all(abs(len(m) - len(text)) <= len(text) for m in made)
    assert sum(m == text for m in made) == 0


@pytest.mark.parametrize("make", HOSTILE)
def test_hostile_answers_have_balanced_braces(make):
    for n in (8, 9): assert make(n).count("{") == make(n).count("}") and len(make(n)) < 100_000


def test_the_race_predicts_and_measures_on_the_same_pairs(sources):
    mix, stub, said = speed_mix(sources, 60, 0.0), Stub(), []
    found, results = race(mix, stub, trial=10, say=said.append)
    assert len(stub.seen) == 70 and list(results["math-verify"].pairs) == mix == list(results["extra_nb"].pairs)
    assert found["ratio"] == pytest.approx(found["outcome"]["ours"] / found["outcome"]["peer"])
    assert found["pairs"] == 60 and found["hostile"] == 0 and len(said) == 2
    hostile = [Pair(f"mix/{i}/hostile", "1", "no box", False) for i in range(4)]
    found, _ = race(mix[:8] + hostile, stub, trial=4, seconds=3, say=said.append)
    assert found["hostile"] == 4
    assert found["predicted"]["ours"] >= 4 * 2.0 / 2 and found["predicted"]["peer"] >= 4 * 3
