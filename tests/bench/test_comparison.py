"How candidates are compared, and how they take turns."
import json
import random

import pytest

from extra_nb.bench.child import Ended
from extra_nb.bench.comparison import compare_speed, in_turns, machine


def test_medians_decide_and_spread_is_that_of_single_rounds():
    rounds = [{"ours a": 8, "ours b": 1, "x": 4, "y": 1}, {"ours a": 2, "ours b": 9, "x": 2, "y": 30}, {"ours a": 6, "ours b": 2, "x": 3, "y": 2}]
    rate, seconds, size = (compare_speed(rounds, kind) for kind in ("rate", "seconds", "bytes"))
    assert (rate["setting"], rate["ours"], rate["peers"], rate["ratio"], rate["ratio_range"]) == ("ours a", 6, {"x": 3, "y": 2}, 2, [1, 2])
    assert (seconds["setting"], seconds["ours"], seconds["ratio"], seconds["ratio_range"]) == ("ours b", 2, 1, [1, 30 / 9])
    assert (size["setting"], size["ratio"], size["ratio_range"]) == ("ours b", 1, [9 / 30, 1])


@pytest.mark.parametrize("kind", ["rate", "seconds", "bytes"])
def test_a_faster_peer_is_never_hidden(kind):
    rng = random.Random(kind)
    for _ in range(50):
        rounds = [{n: rng.uniform(1, 9) for n in ("ours a", "ours b", "x", "y", "z")} for _ in range(rng.randint(1, 5))]
        found = compare_speed(rounds, kind)
        assert found["ours"] / found["ratio"] == pytest.approx(max(found["peers"].values())) if kind == "rate" else True
        if kind == "seconds": assert found["ours"] * found["ratio"] == pytest.approx(min(found["peers"].values()))
        if kind == "bytes": assert found["ours"] / found["ratio"] == pytest.approx(min(found["peers"].values()))


def test_ours_is_taken_from_the_rounds_of_the_best_peer():
    found = compare_speed([{"ours": 1, "x": 3}, {"ours": 20, "y": 9}, {"ours": 3, "x": 5}], "seconds")
    assert found["ours"] == 2 and found["peers"] == {"x": 4, "y": 9} and found["ratio"] == 2 and found["ratio_range"] == [5 / 3, 3]
    alone = compare_speed([{"ours": 1}], "rate")
    assert alone["peers"] == {} and alone["ratio"] is None and alone["ratio_range"] is None


def test_of_ours_that_ended_nothing_counts_and_of_a_peer_all_that_it_finished():
    rounds = [{"ours a": 2, "ours b": 9, "x": 4, "y": 6}, {"ours a": 2, "ours b": 9, "y": 6}]
    found = compare_speed(rounds, "seconds", ended=["x", "ours a"])
    assert (found["setting"], found["ours"], found["peers"], found["ratio"], found["ratio_range"]) == ("ours b", 9, {"x": 4, "y": 6}, 4 / 9, [4 / 9] * 2)
    for rounds, ended in ([{"ours a": 2, "x": 4}], ["ours a"]), ([{"x": 4}], ["ours a"]), ([], ["ours a", "x"]):
        found = compare_speed(rounds, "seconds", ended)
        assert found["ours"] is found["setting"] is found["ratio"] is found["ratio_range"] is None and found["peers"] == ({"x": 4} if rounds else {})


def test_who_dies_later_keeps_what_it_finished():
    counts = {}

    def turn(name, first):
        counts[name] = counts.get(name, 0) + 1
        if (name, counts[name]) in (("x", 2), ("ours", 3)): raise Ended("gone")
        return 1.0

    said = []
    rounds, ended = in_turns(["ours", "x"], turn, 4, said.append)
    assert rounds == [{"ours": 1, "x": 1}, {"ours": 1}] and ended == {"x": "gone", "ours": "gone"} and counts == {"ours": 3, "x": 2}
    assert [line for line in said if "round" in line] == ["  round 1/4: ours, x", "  round 2/4: ours, x", "  round 3/4: ours"]


def test_the_machine_is_written_down():
    json.dumps(machine())
    assert machine()["processor"]
