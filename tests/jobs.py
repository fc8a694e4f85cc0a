"Jobs for child processes that tests start: some do what they are asked for, some die of it."
import json
import os
import signal
import subprocess
import sys
import time


def echo(lines, **more):
    for line in lines: print(line)
    return [len(lines), more]


def below_python(text):
    os.write(1, text.encode())
    subprocess.run([sys.executable, "-c", f"print({text!r})"])
    return sys.stdin.read()  # there is nothing to read, and that is known at once


def die(name): os.kill(os.getpid(), getattr(signal, name))


def leave(status, said): os.write(2, said.encode()), os._exit(status)


def give_up(said): sys.exit(said)


def fail(text): raise ValueError(text)


def refuse(text):
    from extra_nb.types import InputError

    raise InputError(text)


def nothing_to_write(): return {1, 2}


def score(): return int(open("/proc/self/oom_score_adj", encoding="ascii").read())


def with_helper(then):
    "Start a process that would live for long, say its number and ours, and live on, die, or return."
    print(subprocess.Popen(["sleep", "100"]).pid, os.getpid())
    if then == "die": die("SIGKILL")
    if then == "stay": time.sleep(100)


def step_turn(name, enough, threads, settings):
    "In place of `extra_nb.bench.step.step_turn`: FATES in the environment says what becomes of each candidate, or how long it takes."
    fate = json.loads(os.environ["FATES"])[name]
    if fate == "dies": die("SIGKILL")
    if fate == "raises": raise RuntimeError("DefaultCPUAllocator: can't allocate memory:\nbuy more")
    if fate == "stays": with_helper("stay")
    return {"seconds": fate, "sampling": fate / 4, "update": fate / 2, "tokens": settings["new_tokens"], "bytes": fate * 10**9 if enough >= fate else None}


def head_peak(way, **sizes):
    if json.loads(os.environ["FATES"])[way] == "dies": die("SIGKILL")
    return 10**9


def peaks_after_much(megabytes):
    "What `peak_memory` says of the same work three times: in a new process, after much was freed and kept, and after the work itself."
    import torch

    from extra_nb.policy import keep_freed_memory
    from extra_nb.bench.peaks import peak_memory

    def peak():
        with peak_memory(torch.device("cpu")) as found: held = [torch.ones(2**18) for _ in range(megabytes)]
        del held
        return found["bytes"]

    torch.ones(2**18)
    found = [peak()]
    keep_freed_memory()
    for size in (2**8, 2**14, 2**18, 2**22):  # 1 KB to 16 MB: all from the heap, which keeps them
        held = [torch.ones(size) for _ in range(2 * megabytes * 2**18 // size)]
        del held
    return [*found, peak(), peak()]
