"""A long run of the tiny model with both mechanisms: does memory stay flat, are handles and processes left, how do the files grow?

    python tests/long_run.py --steps 2000

The memories of novelty and regeneration are bounded per problem, so with few problems they are full after a while; from
then on nothing may grow but the history of metrics, whose share is stated.
"""
import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from extra_nb.checkpoints import checkpoints, last_checkpoint
from extra_nb.embedders import NgramEmbedder
from extra_nb.novelty import NoveltyBonus
from extra_nb.policy import tiny_policy
from extra_nb.regeneration import PrefixRegeneration
from extra_nb.tasks import arithmetic, worked_solution
from extra_nb.train import Trainer, warm_start


def resident() -> int:
    "Memory of this process, in KiB."
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


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--allowed", type=float, default=25.0, help="KiB a step that memory may grow by after the first third")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    policy = tiny_policy()
    warm_start(policy, [(p, worked_solution(p)) for p in arithmetic(100, levels=(2, 3), seed=9)], steps=60, lr=1e-2)
    mechanisms = [NoveltyBonus(embedder=NgramEmbedder()),
                  PrefixRegeneration(start_step=1, per_step=1, min_gap=3, archive_size=16, queue_size=32, embedder=NgramEmbedder())]
    before, memory = (handles(), children()), []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        t = Trainer(policy, arithmetic(12, levels=(2, 4), seed=2), mechanisms, out=out, steps=args.steps, problems_per_step=4, group_size=4,
                    max_new_tokens=24, lr=1e-4, checkpoint_every=20, say=None)
        while t.step_count < args.steps:
            t.step()
            if t.step_count % 20 == 0: t.save_checkpoint()
            if t.step_count % 5 == 0: gc.collect(), memory.append((t.step_count, resident()))
        t.close()
        history = len(json.dumps(t.history)) / args.steps / 1024
        checkpoint, log, rollouts = size(last_checkpoint(out)), (out / "metrics.jsonl").stat().st_size, size(out / "rollouts")
        kept = len(checkpoints(out))
    late = [(s, m) for s, m in memory if s > args.steps / 3]
    slope = statistics.linear_regression(*zip(*late)).slope
    after = (handles(), children())
    print(f"{args.steps} steps; memory {memory[0][1] / 1024:.0f} MiB at first, {memory[-1][1] / 1024:.0f} MiB at the end; "
          f"slope after step {args.steps // 3}: {slope:+.2f} KiB a step (the history of metrics is {history:.1f} KiB a step as text)")
    print(f"metrics {log / args.steps:.0f} bytes a step, rollouts {rollouts / args.steps:.0f} bytes a step, {kept} checkpoints of {checkpoint / 1024:.0f} KiB")
    print(f"handles {before[0]} -> {after[0]}, child processes {before[1]} -> {after[1]}")
    return int(slope > args.allowed or after[0] > before[0] + 2 or after[1] > before[1])


if __name__ == "__main__": sys.exit(main())
