"The benchmark of the sampler: turns, bytes, table and command."
import pytest
import torch
from benching import quiet, result

from extra_nb.bench import workloads
from extra_nb.bench.comparison import compare_speed
from extra_nb.bench.sampler import alternate, decode_bytes, rate_table
from extra_nb.bench.workloads import Workload
from extra_nb.sampler import context_of


def counted(name, log, lengths, seconds=1.0, error=None):
    def run(limit):
        log.append((name, limit))
        if error: raise error
        return seconds, lengths
    return run


def test_candidates_take_turns_after_a_warm_up():
    log, work, cpu = [], Workload((), 1, 3, (3, 2)), torch.device("cpu")
    some = {n: counted(n, log, (3, 2), s) for n, s in (("ours", 1.0), ("theirs", 2.0))} | {"bad": counted("bad", log, (), error=OSError("no\nlong"))}
    found = alternate(some, work, 2, cpu, quiet)
    assert found == {"rounds": [{"ours": 1.0, "theirs": 2.0}] * 2, "left_out": {"bad": "OSError: no"}, "peak_bytes": None, "decoding": {}}
    assert [n for n, _ in log] == ["ours", "theirs", "bad", "ours", "theirs", "ours", "theirs"] and [limit for _, limit in log[3:]] == [None] * 4


def test_who_cannot_win_runs_once():
    some = {n: counted(n, [], (3, 2), s) for n, s in (("ours fp32", 50.0), ("ours bf16", 80.0), ("fast", 2.0), ("near", 3.0), ("slow", 3.1))}
    found = alternate(some, Workload((), 1, 3, (3, 2)), 3, torch.device("cpu"), quiet)
    assert [list(r) for r in found["rounds"]] == [list(some)] + [["ours fp32", "fast", "near"]] * 2  # the faster one of ours stays, however slow


def test_ours_may_not_fail_and_nobody_may_make_fewer_tokens():
    work, cpu = Workload((), 1, 3, (3, 2)), torch.device("cpu")
    with pytest.raises(ValueError): alternate({"ours fp32": counted("ours", [], (), error=ValueError("x"))}, work, 1, cpu, quiet)
    with pytest.raises(AssertionError, match="theirs made 4 tokens where 5"): alternate({"theirs": counted("theirs", [], (2, 2))}, work, 1, cpu, quiet)


def test_bytes_of_decoding_are_those_counted_step_by_step(policy, works):
    own, full = works["d"]
    work = Workload(full.requests[:2], 2, 5, (5, 1, 4, 2))
    rows = [len(context_of(own, r)) for r in work.requests for _ in range(2)]
    numbers = 0
    for t in range(5):
        numbers += sum(p.numel() for p in policy.model.parameters())
        numbers += sum(2 * 2 * 2 * 16 * (row + t) for row, n in zip(rows, work.lengths) if t < n)  # keys and values, layers, heads, width
    assert decode_bytes(own, work, 2) == 2 * numbers


def test_rates_that_are_missing_are_named():
    found = {"a": compare_speed([{"ours fp32": 9, "x": 3}], "rate") | {"bandwidth_share": 0.5}, "b": compare_speed([{"ours bf16": 9}], "rate") | {"bandwidth_share": 0.25}}
    lines = rate_table(found).splitlines()
    assert [line.split() for line in lines] == [["ours", "x", "ratio", "range", "bandwidth"], ["a", "9", "(fp32)", "3", "3.00", "3.00-3.00", "50%"],
                                                ["b", "9", "(bf16)", "-", "-", "-", "25%"]]
    assert len(set(map(len, lines))) == 1


def test_sampler_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(workloads, "NEW", 6)
    monkeypatch.setattr(workloads, "GROUP", 2)
    found = result(tmp_path, "sampler", "--workload", "d", "--repeats", "2")
    shown = capsys.readouterr().out
    assert list(found["workloads"]) == ["d"] and found["bandwidth"] > 0
    for record in found["workloads"].values():
        assert record["tokens"] == 16 * 6 and len(record["rounds"]) == 2 and 0 < record["bandwidth_share"]
        assert set(record["peers"]) | set(record["left_out"]) == {f"{n} {k}" for n in ("generate", "generate_batch") for k in ("fp32", "bf16")}
        assert record["ratio"] == pytest.approx(record["ours"] / max(record["peers"].values())) and len(record["ratio_range"]) == 2
        assert record["ratio_range"][0] <= record["ratio_range"][1] and record["setting"] in ("ours fp32", "ours bf16")
    assert "generate fp32" in shown and "round 2/2" in shown and "r.json" in shown and "r.png" in shown
