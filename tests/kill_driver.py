"""Kill a training run again and again, resume it each time, and compare what comes out with a run that was left alone.

    python tests/kill_driver.py --kills 50

Half of the kills come at a random moment. The others come inside a file operation: before or after a rename, a sync or a
removal, or with half of a file or of a line written. After each, every checkpoint must be whole, and none may be lost.
"""
import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import safetensors.torch
import torch

import extra_nb.running.directory
from extra_nb.running.checkpoints import checkpoints, damage
from extra_nb.cli import train_main

OPTIONS = ["--preset", "tiny", "--checkpoint-every", "1", "--heldout", "0", "--no-report", "--warm-start-steps", "20", "--kl-coef", "0.01",
           "--minibatch-problems", "2", "--micro-batch-tokens", "200", "--verifier-workers", "1"]


def die(): os.kill(os.getpid(), signal.SIGKILL)


def torn(path: Path):
    "Half of a file, and the end."
    os.truncate(path, path.stat().st_size // 2)
    die()


def arm(at: int, rng: random.Random) -> list[int]:
    "Let the process die in its `at`-th file operation; returns a list whose only number counts them."
    count = [0]

    def trap(owner, name, half=None):
        real = getattr(owner, name)

        def call(*args, **kwargs):
            count[0] += 1
            if count[0] != at: return real(*args, **kwargs)
            if half: half(real, *args, **kwargs)
            if rng.random() < 0.5: real(*args, **kwargs)
            die()

        setattr(owner, name, call)

    def half_text(real, path, text, **kwargs): real(path, text[: len(text) // 2], **kwargs), die()

    def half_tensors(real, tensors, path, *args, **kwargs): real(tensors, path, *args, **kwargs), torn(Path(path))

    def half_line(real, path, line):
        with open(path, "a", encoding="utf-8") as f: f.write(line[: len(line) // 2])
        die()

    def half_folder(real, path, **kwargs):
        for p in sorted(Path(path).rglob("*"))[::2]:
            if p.is_file(): p.unlink()
        die()

    trap(os, "replace")
    trap(os, "fsync")
    trap(shutil, "rmtree", half_folder)
    trap(Path, "write_text", half_text)
    trap(safetensors.torch, "save_file", half_tensors)
    trap(extra_nb.running.directory, "append_line", half_line)
    return count


def start(argv: list[str], log: Path, at: int = 0, seed: int = 0, count_to: Path | None = None) -> int:
    "Run `extra-train` in a child that is a copy of this process, which has imported everything already."
    pid = os.fork()
    if pid: return pid
    code = 70
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2)
        count = arm(at, random.Random(seed))
        code = train_main(argv)
        if count_to: count_to.write_text(str(count[0]))
    except BaseException as e: print(repr(e), flush=True)
    finally: os._exit(code)


def wait(pid: int) -> int: return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def result(run: Path) -> dict:
    "What must be the same: weights, metrics but for times, rollouts."
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {"weights": (run / "model" / "model.safetensors").read_bytes(), "rollouts": {p.name: p.read_bytes() for p in (run / "rollouts").iterdir()},
            "metrics": [{k: v for k, v in m.items() if not k.startswith("time/")} for m in lines]}


def whole_steps(run: Path) -> list[int]:
    "The steps of the checkpoints, all of which must be whole."
    for folder in checkpoints(run):
        fault = damage(folder)
        assert fault is None, f"{folder} is damaged: {fault}"
    return [int(p.name[5:]) for p in checkpoints(run)]


def drive(kills: int, steps: int, seed: int, folder: Path, say=print) -> dict[str, int]:
    "The whole experiment; an AssertionError says what was lost."
    rng, options, log = random.Random(seed), [*OPTIONS, "--steps", str(steps)], folder / "log.txt"
    begin = time.perf_counter()
    assert wait(start([*options, "--out", str(folder / "whole")], log, count_to=folder / "count")) == 0, log.read_text()
    seconds, operations, wanted = time.perf_counter() - begin, int((folder / "count").read_text()), result(folder / "whole")
    say(f"left alone: {steps} steps, {operations} file operations, {seconds:.1f} s")
    done = {"at a moment": 0, "in a file operation": 0, "runs finished": 0}
    runs, best, beginnings = 1, -1, 0
    while sum(list(done.values())[:2]) < kills or best != -1 or not done["runs finished"]:
        run, enough = folder / f"run-{runs}", sum(list(done.values())[:2]) >= kills
        argv = ["--resume", str(run)] if checkpoints(run) else [*options, "--out", str(run)]
        beginnings += not checkpoints(run)
        inside = rng.random() < 0.5 and not enough
        pid = start(argv, log, rng.randint(1, operations) if inside else 0, rng.random())
        if not inside and not enough:
            time.sleep(rng.uniform(0, seconds))
            try: os.kill(pid, signal.SIGKILL)
            except ProcessLookupError: pass
        code = wait(pid)
        assert code in (0, -signal.SIGKILL), f"exit status {code}:\n{log.read_text()[-3000:]}"
        left = whole_steps(run) if run.exists() else []
        assert max(left, default=-1) >= best, f"checkpoint {best} was lost: there are {left}"
        best = max(left, default=-1)
        if code: done["in a file operation" if inside else "at a moment"] += 1
        else:
            found = result(run)
            for what in wanted: assert found[what] == wanted[what], f"{run}: {what} differ from the run that was left alone"
            assert not [p for p in run.rglob(".*") if p.suffix in (".part", ".old", ".gone")], "something was left lying about"
            shutil.rmtree(run)
            done["runs finished"], runs, best = done["runs finished"] + 1, runs + 1, -1
        if code and sum(list(done.values())[:2]) % 10 == 0: say(", ".join(f"{n} {what}" for what, n in done.items()))
    return {**done, "beginnings": beginnings}


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=12, help="of each run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        try: done = drive(args.kills, args.steps, args.seed, Path(folder))
        except AssertionError as e:
            print(e, file=sys.stderr)
            return 1
    print(f"all runs equal the one that was left alone: {', '.join(f'{n} {what}' for what, n in done.items())}")
    return 0


if __name__ == "__main__": sys.exit(main())
