"The benchmark of the verifier: what it reads, what it counts, what it draws, and how its command ends."
import gzip
import json
import logging
from dataclasses import asdict

import pytest

from extra_nb.bench.verifier import (
    HOSTILE,
    KINDS,
    Judged,
    Pair,
    VerifierBench,
    as_response,
    bench_verifier,
    garbled,
    judge_pairs,
    machine,
    peer_judge,
    race,
    read_pairs,
    read_solutions,
    result_table,
    speed_mix,
)
from extra_nb.cli import bench_main
from extra_nb.types import InputError, Verdict

# (gold, prediction, label, whether a verifier that reads only the two answers accepts it)
HAND = [("42", "42", True, True), ("42", "43", False, False), ("1/2", "0.5", True, True), (r"\frac{3}{4}", r"\boxed{0.75}", True, True),
        ("x^2-1", "(x-1)(x+1)", True, True), ("7", "", False, False), ("y=Ce^{2x}", "y=Ae^{2x}", True, False), ("3", "3", False, True)]


def write(path, rows):
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"
    if path.suffix == ".gz": path.write_bytes(gzip.compress(text.encode()))
    else: path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def hand(tmp_path):
    rows = [{"id": f"h/{i}", "gold": g, "prediction": p, "equal": e, "meta": {"more": i}} for i, (g, p, e, _) in enumerate(HAND)]
    return write(tmp_path / "hand.jsonl", rows)


@pytest.fixture
def sources(tmp_path):
    "Sixty labelled generations, and forty problems of a benchmark."
    generations = [{"id": f"g/{i}", "gold": f"{i}", "prediction": f"so {i} + 1,000 is\nA: {i if i % 3 else i + 1}", "equal": i % 3 != 0} for i in range(60)]
    benchmark = [{"id": f"b/{i}", "problem": f"Halve {i}.", "answer": rf"\frac{{{i}}}{{2}}"} for i in range(40)]
    return [write(tmp_path / "generations.jsonl.gz", generations), write(tmp_path / "benchmark.jsonl", benchmark)]


class Stub:
    "A verifier that accepts what contains its gold answer."
    timeout, workers = 2.0, 2

    def __init__(self): self.seen = []

    def verify(self, golds, responses):
        self.seen += responses
        return [Verdict(g in r, "correct" if g in r else "wrong", r) for g, r in zip(golds, responses)]


# ---- reading

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


# ---- counting

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


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--peer"]])
def test_the_counts_of_a_file_labelled_by_hand(hand, options, tmp_path, capsys):
    out, summary = tmp_path / "new" / "out.jsonl", tmp_path / "new" / "summary.json"
    assert bench_main(["verifier", str(hand), "--out", str(out), "--json", str(summary), *options]) == 0
    shown, found = capsys.readouterr().out, json.loads(summary.read_text())
    (row,) = found["files"]
    wrong = [f"h/{i}" for i, (*_, equal, accepted) in enumerate(HAND) if equal != accepted]
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == wrong
    assert (row["rows"], row["equal"], row["equal_rejected"], row["unequal"], row["unequal_accepted"]) == (8, 5, 1, 3, 1)
    assert row["reasons"]["correct"] == 5 and row["reasons"]["no_answer"] == 1 and sum(row["reasons"].values()) == 8
    assert "1 of 5" in shown and "1 of 3" in shown and str(hand) in shown and ("math-verify" in shown) == ("--peer" in options)
    assert found["versions"]["math-verify"] and found["cores"] >= 1 and found["settings"]["timeout"] == 5.0
    assert ("peer" in row) == ("--peer" in options)
    if "--peer" in options: assert row["peer"]["rows"] == 8 and row["peer"]["unequal_accepted"] == 1


def test_with_response_the_box_must_be_there(hand, tmp_path):
    assert bench_main(["verifier", str(hand), "--response", "--json", str(tmp_path / "s.json")]) == 0
    (row,) = json.loads((tmp_path / "s.json").read_text())["files"]
    assert row["reasons"]["correct"] == 1 and row["reasons"]["no_answer"] == 7


def test_several_files_are_counted_apart(hand, tmp_path):
    other = write(tmp_path / "other.jsonl.gz", [GOOD])
    assert bench_main(["verifier", str(hand), str(other), "--json", str(tmp_path / "s.json"), "--out", str(tmp_path / "o.jsonl")]) == 0
    assert [f["rows"] for f in json.loads((tmp_path / "s.json").read_text())["files"]] == [8, 1]
    assert {json.loads(line)["file"] for line in open(tmp_path / "o.jsonl")} == {str(hand)}


# ---- the peer

def test_the_peer_is_asked_the_same_and_its_troubles_are_counted():
    log = logging.getLogger("math_verify")
    before = (log.level, log.propagate, list(log.handlers))
    rows = [("4", "4", True), ("4", "5", False), (r"\frac12", "0.5", True), ("4", r"\sum_{i=1}^{10^8}\sqrt{i}", False), ("4", "5", True)]
    judged = peer_judge([Pair(str(i), *row) for i, row in enumerate(rows)], seconds=1)
    assert [v.reason for v in judged.verdicts] == ["correct", "wrong", "correct", "timeout", "wrong"]
    assert judged.errors == 1 and judged.wrong_about(True) == 1 and judged.wrong_about(False) == 0
    assert (log.level, log.propagate, log.handlers) == before


# ---- the mix

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


# ---- the race

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


def test_speed_from_the_command(sources, tmp_path, capsys):
    assert bench_main(["verifier", *map(str, sources), "--speed", "40", "--hostile", "0", "--seed", "3", "--json", str(tmp_path / "s.json")]) == 0
    shown, found = capsys.readouterr().out, json.loads((tmp_path / "s.json").read_text())
    assert found["pairs"] == 40 and found["settings"]["seed"] == 3 and found["ratio"] > 0 and found["processor"]
    assert "predicted for 40 pairs" in shown and "ratio" in shown and "equal rejected" not in shown


# ---- the command

@pytest.mark.parametrize("argv, words", [
    ([], "BENCH"), (["verifer"], "did you mean 'verifier'"), (["verifier"], "FILE"), (["verifier", "HAND", "--worker", "2"], "did you mean '--workers'"),
    (["verifier", "nowhere.jsonl"], "nowhere.jsonl"), (["verifier", "HAND", "--timeout", "0"], "timeout=0.0"), (["verifier", "HAND", "--workers", "-1"], "workers=-1"),
    (["verifier", "HAND", "--speed", "-3"], "speed=-3"), (["verifier", "HAND", "--speed", "5", "--hostile", "2"], "hostile=2.0"),
    (["verifier", "HAND", "--speed", "many"], "many"), (["verifier", "HAND", "--speed", "5", "--out", "o.jsonl"], "o.jsonl"),
    (["verifier", "HAND", "--out", "."], "is a folder"), (["verifier", "HAND", "--json", "HAND/x.json"], "cannot be written"),
])
def test_a_mistake_takes_one_line_and_status_2(argv, words, hand, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bench_main([a.replace("HAND", str(hand)) for a in argv]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("extra-bench: ") and words in error, error


@pytest.mark.parametrize("argv", [["--help"], ["verifier", "--help"]])
def test_help_explains(argv, capsys):
    with pytest.raises(SystemExit) as e: bench_main(argv)
    assert e.value.code == 0
    text = capsys.readouterr().out
    assert "verifier" in text
    if argv[0] == "verifier":
        for field in VerifierBench.__dataclass_fields__: assert "--" + field in text


def test_files_are_read_before_anything_is_judged(hand, tmp_path, monkeypatch):
    monkeypatch.setattr("extra_nb.bench.verifier.Verifier", lambda **kwargs: pytest.fail("a worker was started"))
    with pytest.raises(InputError): bench_verifier([hand, tmp_path / "nowhere.jsonl"], VerifierBench())


def test_options_reach_the_verifier(hand, monkeypatch):
    given = {}

    class Seen(Exception): pass

    def spy(**kwargs):
        given.update(kwargs)
        raise Seen

    monkeypatch.setattr("extra_nb.bench.verifier.Verifier", spy)
    with pytest.raises(Seen): bench_verifier([hand], VerifierBench(workers=3, timeout=1.5, fallbacks="a, b"))
    assert given == {"workers": 3, "timeout": 1.5, "fallbacks": ("a", "b")}
    given.clear()
    with pytest.raises(Seen): bench_verifier([hand], VerifierBench())
    assert given == {"timeout": 5.0}


def test_the_machine_is_written_down():
    json.dumps(machine())
    assert machine()["processor"]
