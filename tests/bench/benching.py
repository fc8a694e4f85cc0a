"What several tests of the benchmarks of speed share: a command with its files, and candidates with fates."
import json

import jobs
import torch

from extra_nb.bench import comparison, memory, step, trainers
from extra_nb.cli import bench_main

OOM = "killed by SIGKILL; probably out of memory"


def quiet(line): pass


def result(tmp_path, *argv):
    "The record that a command writes; its picture is there, too."
    path = tmp_path / "new" / "r.json"
    assert bench_main([*argv, "--model", "tiny", "--device", "cpu", "--json", str(path), "--figure", "r.png"]) == 0
    assert (path.parent / "r.png").read_bytes()[:4] == b"\x89PNG"
    found = json.loads(path.read_text())
    assert found["bench"] == argv[0] and found["cores"] >= 1 and found["threads"] >= 1 and found["versions"]["transformers"] and found["processor"]
    assert found["settings"]["model"] == "tiny" and found["gpu"] is None or torch.cuda.is_available()
    return found


def fated(monkeypatch, **fates):
    "Turns with fates, in real processes: of a step those of ours, weights, autocast and fp32, of a head those of head and unchunked."
    names = dict(ours="ours fp32", weights="TRL bf16 weights", autocast="TRL bf16 autocast", fp32="TRL fp32", head="ours")
    monkeypatch.setenv("FATES", json.dumps({names.get(name, name): fate for name, fate in fates.items()} | {"ours bf16": 5}))
    monkeypatch.setattr(step, "step_turn", jobs.step_turn)
    monkeypatch.setattr(memory, "_head_peak", jobs.head_peak)
    monkeypatch.setattr(step, "faster_dtype", lambda device: "fp32")
    for module in (trainers, comparison): monkeypatch.setattr(module, "find_spec", lambda name: name == "trl")
    monkeypatch.setattr(comparison, "version", lambda name: "0")
