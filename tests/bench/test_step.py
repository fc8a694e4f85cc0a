"The benchmark of a step: turns in child processes, and candidates that die."
import math
import signal

import pytest
from benching import OOM, fated, quiet, result

from extra_nb.bench import step
from extra_nb.bench.comparison import compare_speed
from extra_nb.bench.step import seconds_table
from extra_nb.bench.trainers import StepBench


def test_step_command_and_memory_of_steps(tmp_path, capfd, monkeypatch):
    pytest.importorskip("trl", reason="needs trl, a development requirement, to compare with; it is not installed")
    monkeypatch.setattr(step, "TRL_SETTINGS", {"TRL bf16 weights": {}})  # for time; what the name means the child knows by itself
    found = result(tmp_path, "step", "--repeats", "1", "--problems", "2", "--group-size", "4", "--new-tokens", "6")
    assert found["tokens"] == 2 * 4 * 6 and set(found["peers"]) == {"TRL bf16 weights"} and len(found["rounds"]) == 1 and found["ended"] == {}
    assert found["ratio"] == pytest.approx(min(found["peers"].values()) / found["ours"])
    assert set(found["parts"]) == {found["setting"], "TRL bf16 weights"} and all(p["sampling"] > 0 and p["update"] > 0 for p in found["parts"].values())
    assert all(p["peak_bytes"] > 0 for p in found["parts"].values())
    shown = capfd.readouterr()
    assert "ratio" in shown.out and "train_runtime" not in shown.out and "Warning" not in shown.err


def test_peers_that_die_are_named_and_the_others_compared(tmp_path, capsys, monkeypatch):
    fated(monkeypatch, ours=2, weights="raises", autocast=6, fp32="dies")
    found = result(tmp_path, "step", "--repeats", "2")
    assert found["ended"] == {"TRL bf16 weights": "RuntimeError: DefaultCPUAllocator: can't allocate memory: buy more", "TRL fp32": OOM}
    assert (found["ours"], found["peers"], found["ratio"], found["tokens"]) == (2, {"TRL bf16 autocast": 6}, 3, 64)
    assert found["rounds"] == [{"ours fp32": 2, "TRL bf16 autocast": 6}] * 2
    assert found["parts"]["TRL bf16 autocast"] == {"sampling": 1.5, "update": 3, "peak_bytes": 6 * 10**9}
    shown = capsys.readouterr().out
    assert f"TRL fp32: {OOM}; it is left out" in shown and f"\nTRL fp32: {OOM}\nratio 3.00" in shown


@pytest.mark.parametrize("fates, said", [
    (dict(ours="dies", weights=4, autocast=6, fp32=5), "no ratio: ours has not finished"),
    (dict(ours=4, weights="dies", autocast="dies", fp32="raises"), "no ratio: no setting of TRL has finished"),
    (dict(ours="raises", weights="dies", autocast="dies", fp32="dies"), "no ratio: ours has not finished"),
])
def test_without_ours_or_any_peer_there_is_no_ratio(fates, said, tmp_path, capsys, monkeypatch):
    fated(monkeypatch, **fates)
    found = result(tmp_path, "step", "--repeats", "1")
    alive = [fate for fate in fates.values() if not isinstance(fate, str)]
    assert found["ratio"] is found["ratio_range"] is None and len(found["ended"]) == 4 - len(alive) and said in capsys.readouterr().out
    assert found["ours"] == (None if isinstance(fates["ours"], str) else 4) and sorted([*found["peers"].values(), *filter(None, [found["ours"]])]) == sorted(alive)


def test_who_is_far_behind_is_measured_by_its_first_step(monkeypatch):
    enough = []

    def child(job, heard, name, **arguments):
        enough.append((name, arguments["enough"]))
        s = {"ours fp32": 50.0, "TRL bf16 weights": 4.0, "TRL bf16 autocast": 5.0, "TRL fp32": 7.0}[name]
        return {"seconds": s, "sampling": 1, "update": 1, "tokens": 9, "bytes": None}

    fated(monkeypatch, ours=0)
    monkeypatch.setattr(step, "in_child", child)
    found = step.bench_step(StepBench(model="tiny", device="cpu", repeats=2), quiet)
    assert enough == [("ours fp32", math.inf), ("TRL bf16 weights", math.inf), ("TRL bf16 autocast", 6 + step.ONCE), ("TRL fp32", 6 + step.ONCE),
                      ("ours fp32", math.inf), ("TRL bf16 weights", math.inf), ("TRL bf16 autocast", math.inf)]
    assert found["ratio"] == 4 / 50 and found["parts"]["TRL fp32"]["peak_bytes"] is None


def test_ctrl_c_ends_the_bench_and_its_child(monkeypatch):
    from test_child import gone

    fated(monkeypatch, ours="stays")
    pids = []

    def hear(line):
        if not all(word.isdigit() for word in line.split()): return
        pids.extend(map(int, line.split()))
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt): step.bench_step(StepBench(model="tiny", device="cpu"), hear)
    finally: signal.signal(signal.SIGINT, before)
    assert len(pids) == 2 and gone(pids)


def test_a_step_without_peak_has_a_dash():
    found = {**compare_speed([{"ours": 2, "x": 4}], "seconds"), "ended": {}}
    table = seconds_table(found, {"ours": {"sampling": 1, "update": 1, "peak_bytes": None}, "x": {"sampling": 2, "update": 2, "peak_bytes": 2.5e9}})
    assert "ratio 2.00 (2.00-2.00): ours" in table and [line.split()[-1] for line in table.splitlines()[1:3]] == ["-", "GB"]
