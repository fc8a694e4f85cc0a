"The benchmark of the verifier: what it counts and times, and how its command ends."
import json

import pytest
from benching import HAND, write

from extra_nb.bench.verifier import VerifierBench, bench_verifier
from extra_nb.cli import bench_main
from extra_nb.types import InputError


GOOD = {"id": "a", "gold": "1", "prediction": "1", "equal": True}


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


def test_speed_from_the_command(sources, tmp_path, capsys):
    assert bench_main(["verifier", *map(str, sources), "--speed", "40", "--hostile", "0", "--seed", "3", "--json", str(tmp_path / "s.json")]) == 0
    shown, found = capsys.readouterr().out, json.loads((tmp_path / "s.json").read_text())
    assert found["pairs"] == 40 and found["settings"]["seed"] == 3 and found["ratio"] > 0 and found["processor"]
    assert "predicted for 40 pairs" in shown and "ratio" in shown and "equal rejected" not in shown


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
