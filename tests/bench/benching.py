"What several tests of the benchmarks share: files of pairs, a command with its files, and candidates with fates."
import gzip
import json

import jobs
import torch

from extra_nb.bench import comparison, memory, step, trainers
from extra_nb.cli import bench_main
from extra_nb.types import Verdict

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


# (gold, prediction, label, whether a verifier that reads only the two answers accepts it)
HAND = [("42", "42", True, True), ("42", "43", False, False), ("1/2", "0.5", True, True), (r"\frac{3}{4}", r"\boxed{0.75}", True, True),
        ("x^2-1", "(x-1)(x+1)", True, True), ("7", "", False, False), ("y=Ce^{2x}", "y=Ae^{2x}", True, False), ("3", "3", False, True)]


def write(path, rows):
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"
    if path.suffix == ".gz": path.write_bytes(gzip.compress(text.encode()))
    else: path.write_text(text, encoding="utf-8")
    return path


class Stub:
    "A verifier that accepts what contains its gold answer."
    timeout, workers = 2.0, 2

    def __init__(self): self.seen = []

    def verify(self, golds, responses):
        self.seen += responses
        return [Verdict(g in r, "correct" if g in r else "wrong", r) for g, r in zip(golds, responses)]
