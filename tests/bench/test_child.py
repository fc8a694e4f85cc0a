"A job in a process of its own: what comes back, how it may die, and that nothing outlives its caller."
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jobs
import pytest

from extra_nb.bench.child import Ended, how_ended, in_child
from extra_nb.types import InputError

posix = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs signals")


def alive(pid):
    try: os.kill(pid, 0)
    except ProcessLookupError: return False
    try: return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError: return not os.path.exists("/proc/self/stat")


def gone(pids, within=10):
    end = time.monotonic() + within
    while (left := [p for p in pids if alive(p)]) and time.monotonic() < end: time.sleep(0.02)
    return not left


def test_lines_arrive_in_order_and_then_the_result():
    heard = []
    found = in_child(jobs.echo, heard=heard.append, lines=["one", "", "two\nthree ", "{}"], x=[1, None, 0.5], y="\u2200 \x1e")
    assert found == [4, {"x": [1, None, 0.5], "y": "\u2200 \x1e"}] and heard == ["one", "two", "three", "{}"]


def test_lines_arrive_while_the_job_is_at_work():
    def hear(line): raise StopIteration(line)

    start = time.monotonic()
    with pytest.raises(StopIteration): in_child(jobs.with_helper, heard=hear, then="stay")
    assert time.monotonic() - start < 60


def test_what_others_print_is_no_part_of_it():
    heard = []
    assert in_child(jobs.below_python, heard=heard.append, text="noise\n") == "" and heard == []


@posix
@pytest.mark.parametrize("job, arguments, said", [
    (jobs.die, {"name": "SIGKILL"}, "killed by SIGKILL; probably out of memory"), (jobs.die, {"name": "SIGTERM"}, "killed by SIGTERM"),
    (jobs.leave, {"status": 3, "said": "much\nno space left\n"}, "ended with status 3: no space left"),
    (jobs.leave, {"status": 0, "said": ""}, "ended with status 0: it said nothing"), (jobs.give_up, {"said": "enough"}, "ended with status 1: enough"),
    (jobs.fail, {"text": "no such kernel\nand why"}, "ValueError: no such kernel and why"),
    (jobs.nothing_to_write, {}, "TypeError: Object of type set is not JSON serializable"),
], ids=lambda value: getattr(value, "__name__", None))
def test_a_job_that_leaves_no_result_is_one_line(job, arguments, said):
    with pytest.raises(Ended) as e: in_child(job, **arguments)
    assert str(e.value) == said


def test_a_signal_without_a_name_is_a_number():
    assert how_ended(-99) == "killed by signal 99"


def test_bad_input_stays_bad_input():
    with pytest.raises(InputError, match="^no model 'x'$"): in_child(jobs.refuse, text="no model 'x'")


@pytest.mark.skipif(not os.path.exists("/proc/self/oom_score_adj"), reason="Linux only")
def test_the_kernel_takes_the_child_first():
    before = jobs.score()
    assert in_child(jobs.score) == 1000 and jobs.score() == before


@posix
@pytest.mark.parametrize("then", ["return", "die"])
def test_what_a_job_started_goes_with_it(then):
    heard = []
    try: in_child(jobs.with_helper, heard=heard.append, then=then)
    except Ended as e: assert then == "die" and "SIGKILL" in str(e)
    pids = list(map(int, heard[0].split()))
    assert len(pids) == 2 and gone(pids)


CALLER = """import signal; signal.signal(signal.SIGINT, signal.default_int_handler)
import jobs; from extra_nb.bench.child import in_child
in_child(jobs.with_helper, heard=lambda line: print(line, flush=True), then="stay")"""


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_outlives_the_caller(name):
    here = Path(__file__).resolve().parents[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), str(here)])}
    caller = subprocess.Popen([sys.executable, "-c", CALLER], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pids = list(map(int, caller.stdout.readline().split()))
    assert len(pids) == 2 and all(map(alive, pids))
    caller.send_signal(getattr(signal, name))
    _, err = caller.communicate(timeout=30)
    assert gone(pids) and (name != "SIGINT" or err.rstrip().endswith("KeyboardInterrupt"))
