"Labelled pairs: what is read, what is counted, and the peer."
import logging
from dataclasses import asdict

import pytest
from benching import HAND, Stub, write

from extra_nb.bench.pairs import Judged, Pair, as_response, judge_pairs, peer_judge, read_pairs, result_table
from extra_nb.types import InputError, Verdict


GOOD = {"id": "a", "gold": "1", "prediction": "1", "equal": True}


@pytest.mark.parametrize("row, said", [
    ({k: v for k, v in GOOD.items() if k != "gold"}, "no field 'gold'"), ({**GOOD, "equal": "true"}, "equal='true' must be true or false"),
    ({**GOOD, "equal": 1}, "equal=1"), ({**GOOD, "gold": 1}, "gold=1 must be text"), ({**GOOD, "prediction": None}, "prediction=None"),
    ({**GOOD, "id": 7}, "id=7"), ('{"id": "a"', "not a JSON object"), ("[1]", "not a JSON object"), ("null", "not a JSON object"),
])
@pytest.mark.parametrize("name", ["bad.jsonl", "bad.jsonl.gz"])
def test_a_bad_row_is_named_with_file_line_and_field(row, said, name, tmp_path):
    path = write(tmp_path / name, [GOOD, "", row, GOOD])
    with pytest.raises(InputError) as e: read_pairs(path)
    assert f"{path}, line 3" in str(e.value) and said in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_file_without_rows_is_refused(text, tmp_path):
    (tmp_path / "none.jsonl").write_text(text)
    with pytest.raises(InputError, match="no rows"): read_pairs(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="no such file"): read_pairs(tmp_path / "nowhere.jsonl")


def test_pairs_are_read_as_they_stand(hand, tmp_path):
    pairs = read_pairs(hand)
    assert [(p.gold, p.prediction, p.equal) for p in pairs] == [row[:3] for row in HAND]
    odd = [Pair("\u2028", "\\pi\u00a0", "\U0001d465 = \x00\n1", False)]
    assert read_pairs(write(tmp_path / "odd.jsonl.gz", map(asdict, odd))) == odd


@pytest.mark.parametrize("prediction, whole, response", [
    ("5", False, r"\boxed{5}"), ("5", True, "5"), (r"so \boxed{5}", False, r"\boxed{5}"), (r"so \boxed{5}", True, r"so \boxed{5}"), ("", False, r"\boxed{}"),
    ("It is 4, so the answer is 5.", False, r"\boxed{5}"), ("It is 4, so the answer is 5.", True, "It is 4, so the answer is 5.")])
def test_bare_answers_are_put_into_a_box(prediction, whole, response):
    assert as_response(prediction, whole) == response
    stub = Stub()
    judge_pairs([Pair("a", "5", prediction, True)], stub, whole)
    assert stub.seen == [response]


def test_each_mistake_is_counted_once_and_on_its_own_side():
    labels, accepted = [True] * 5 + [False] * 7, [True] * 2 + [False] * 3 + [True] * 4 + [False] * 3
    reasons = ["correct" if a else r for a, r in zip(accepted, ["wrong", "timeout", "no_answer", "unparseable"] * 3)]
    judged = Judged([Pair(f"{i}", "g", "p", e) for i, e in enumerate(labels)], [Verdict(a, r, "p") for a, r in zip(accepted, reasons)], 2.0, 1)
    s = judged.summary()
    assert (s["rows"], s["equal"], s["equal_rejected"], s["unequal"], s["unequal_accepted"], s["errors"]) == (12, 5, 3, 7, 4, 1)
    assert sum(s["reasons"].values()) == 12 and s["reasons"]["correct"] == 6 and s["pairs_per_second"] == 6
    found = judged.disagreements()
    assert [d["id"] for d in found] == ["2", "3", "4", "5", "6", "7", "8"]
    assert set(found[0]) == {"id", "gold", "prediction", "equal", "extracted", "reason"}
    assert [line.split()[-3:] for line in result_table({"a": judged}).splitlines()[2:4]] == [["3", "of", "5"], ["4", "of", "7"]]


def test_the_peer_is_asked_the_same_and_its_troubles_are_counted():
    log = logging.getLogger("math_verify")
    before = (log.level, log.propagate, list(log.handlers))
    rows = [("4", "4", True), ("4", "5", False), (r"\frac12", "0.5", True), ("4", r"\sum_{i=1}^{10^8}\sqrt{i}", False), ("4", "5", True)]
    judged = peer_judge([Pair(str(i), *row) for i, row in enumerate(rows)], seconds=1)
    assert [v.reason for v in judged.verdicts] == ["correct", "wrong", "correct", "timeout", "wrong"]
    assert judged.errors == 1 and judged.wrong_about(True) == 1 and judged.wrong_about(False) == 0
    assert (log.level, log.propagate, log.handlers) == before
