"""A long run of the tiny model with both mechanisms: does memory stay flat, are handles and processes left, how do the files grow?

    python tests/long_run.py --steps 2000 --json nbs/experiments/results/long_run.json

With --slices 4 the run is made by four processes, each of which resumes where the one before stopped; memory is measured in each.

The memories of novelty and regeneration are bounded per problem, so with few problems they are full after a while. What grows
from then on is known, and measured here beside the slope of the whole: the history of metrics, which a trainer keeps; the cache of
hashed n-grams, which is bounded; and the shapes of tensors that were ever saved, of which ctypes keeps a note each.
"""
import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from transformers.utils import logging

from extra_nb.running.checkpoints import checkpoints, last_checkpoint
from extra_nb.embedders import NgramEmbedder, _slot
from extra_nb.novelty import NoveltyBonus
from extra_nb.policy import tiny_policy
from extra_nb.regeneration import PrefixRegeneration
from extra_nb.tasks import arithmetic, worked_solution
from extra_nb.train import Trainer, warm_start


def resident() -> int:
    "Memory of this process in KiB, once what is free has been given back: else the allocator's habits would be measured."
    gc.collect()
    with suppress(OSError, AttributeError): ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def handles() -> int: return len(os.listdir("/proc/self/fd"))


def children() -> int:
    "Processes that this one has started and that still run."
    found = 0
    for p in Path("/proc").glob("[0-9]*/stat"):
        try: found += p.read_text().rpartition(")")[2].split()[1] == str(os.getpid())
        except OSError: pass
    return found


def size(path: Path) -> int: return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def weight(x) -> int:
    "Bytes of a nest of dicts, lists, numbers and texts."
    inside = [part for item in x.items() for part in item] if isinstance(x, dict) else x if isinstance(x, list) else []
    return sys.getsizeof(x) + sum(map(weight, inside))


def known(t) -> dict[str, float]:
    "KiB of what is known to grow; the keys of all metrics are the same texts, and a cached n-gram takes about 390 bytes, a shape 440 (tracemalloc)."
    shared = sum(map(sys.getsizeof, t.history[-1])) * len(t.history)
    return {"history": (sum(map(weight, t.history)) - shared) / 1024, "n-grams": _slot.cache_info().currsize * 390 / 1024,
            "shapes": len(ctypes._pointer_type_cache) * 440 / 1024}


def predicted(t, vectors: int) -> float:
    "KiB of a checkpoint with full memories: weights and two moments, and so many vectors; prefixes, the queue and names are small beside them."
    return (3 * sum(p.numel() for p in t.policy.model.parameters()) + vectors * NgramEmbedder().dim) * 4 / 1024


def trainer(out: Path, steps: int) -> Trainer:
    "The run, at its beginning or where it stopped."
    policy = tiny_policy()
    begun = (out / "metrics.jsonl").exists()
    if not begun: warm_start(policy, [(p, worked_solution(p)) for p in arithmetic(100, levels=(2, 3), seed=9)], steps=60, lr=1e-2)
    mechanisms = [NoveltyBonus(embedder=NgramEmbedder()),
                  PrefixRegeneration(start_step=1, per_step=1, min_gap=3, archive_size=16, queue_size=32, embedder=NgramEmbedder())]
    t = Trainer(policy, arithmetic(12, levels=(2, 4), seed=2), mechanisms, out=out, steps=steps, problems_per_step=4, group_size=4,
                max_new_tokens=24, lr=1e-4, checkpoint_every=20, say=None)
    if begun: t.resume()
    return t


def one_slice(out: Path, steps: int, until: int) -> dict:
    "Train to a step; what grew on the way, from a third of it on."
    t, before, memory, grown, logs = trainer(out, steps), (handles(), children()), [], [], []
    begun = t.step_count
    third = begun + (until - begun) // 3
    while t.step_count < until:
        t.step()
        if t.step_count % 20 == 0 or t.step_count == until: t.save_checkpoint()
        if t.step_count % 5 == 0: memory.append((t.step_count, resident()))
        if t.step_count in (third, until): grown.append(known(t)), logs.append((out / "metrics.jsonl").stat().st_size + size(out / "rollouts"))
    t.close()
    slope = statistics.linear_regression(*zip(*[(s, m) for s, m in memory if s > third])).slope
    return {"until": until, "memory_mib": [memory[0][1] / 1024, memory[-1][1] / 1024], "slope_kib": slope,
            "known_kib": {k: (grown[1][k] - grown[0][k]) / (until - third) for k in grown[0]}, "log_bytes_a_step": (logs[1] - logs[0]) / (until - third),
            "checkpoints": len(checkpoints(out)), "checkpoint_kib": size(last_checkpoint(out)) / 1024, "predicted_kib": predicted(t, 12 * (16 + 16)),
            "handles": [before[0], handles()], "processes": [before[1], children()]}


def faults(slices: list[dict], allowed: float) -> list[str]:
    "What was not as it should be."
    logs, last = [s["log_bytes_a_step"] for s in slices], slices[-1]
    checks = {"memory": all(s["slope_kib"] - sum(s["known_kib"].values()) <= allowed for s in slices),
              "log": max(logs) < 1.2 * min(logs), "checkpoint": abs(last["checkpoint_kib"] / last["predicted_kib"] - 1) < 0.15,
              "handles": all(s["handles"][1] <= s["handles"][0] + 2 for s in slices), "processes": all(s["processes"][1] <= s["processes"][0] for s in slices)}
    return [name for name, well in checks.items() if not well]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--slices", type=int, default=1, help="processes that make the run, one after the other")
    parser.add_argument("--only", type=int, default=0, metavar="N", help="make only the N-th slice, in --folder, which keeps what the others found")
    parser.add_argument("--folder", metavar="DIR", help="where the run lies (default: a temporary folder)")
    parser.add_argument("--allowed", type=float, default=4.0, help="KiB a step that memory may grow by after a third, beyond what is known")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    if args.only:
        print(json.dumps(one_slice(Path(args.folder), args.steps, args.steps * args.only // args.slices)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        call, found = [sys.executable, __file__, "--steps", str(args.steps), "--slices", str(args.slices), "--folder", args.folder or temporary], []
        for n in range(1, args.slices + 1):
            notes = Path(args.folder or temporary, f"slice-{n}.json")
            if not notes.exists():
                notes.parent.mkdir(parents=True, exist_ok=True)
                said = subprocess.run([*call, "--only", str(n)], stdout=subprocess.PIPE, text=True, check=True).stdout
                notes.write_text(said.splitlines()[-1])
            found.append(json.loads(notes.read_text()))
            print(json.dumps(found[-1]), flush=True)
    if args.json: Path(args.json).write_text(json.dumps({"steps": args.steps, "slices": found}, indent=1) + "\n")
    bad = faults(found, args.allowed)
    print(f"not as it should be: {', '.join(bad)}" if bad else "all as it should be")
    return int(bool(bad))


if __name__ == "__main__": sys.exit(main())
