"Workers: what hangs, dies, grows or is interrupted; threads, event loops, forked and spawned processes; and that nothing is left behind."
import asyncio
import gc
import logging
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from extra_nb import verifier as verifier_module
from extra_nb.verify import worker as module
from extra_nb.tasks import arithmetic, worked_solution
from extra_nb.types import REASONS, InputError, Problem
from extra_nb.verifier import Verifier
from extra_nb.verify.worker import MEMORY, Pool, Worker

posix = pytest.mark.skipif(os.name != "posix", reason="asks the system about process ids, in POSIX's way")
SLOW = 60  # seconds that a machine under load may take over what should take none

FUNCTIONS = """
import os, sys, time

def die(): os._exit(1)
def once(mark):
    if not os.path.exists(mark):
        open(mark, 'w').close()
        os._exit(1)
    return 'survived'
def grow(): return len(b'x' * (800 << 20)) and os.getpid()
def late(seconds, value):
    time.sleep(seconds)
    return value
def noise():
    print('["reply", %d, "wrong"]' % os.getpid(), flush=True)
    os.write(1, b'["here", 1, null]\\n')
    return [sys.stdin.read(), 'quiet']

def load():
    return {'double': lambda x: 2 * x, 'pid': os.getpid, 'sleep': time.sleep, 'spin': lambda: len(str(9 ** (9 ** 9))), 'die': die,
            'once': once, 'bomb': lambda: len(bytearray(8 << 30)), 'grow': grow, 'late': late, 'noise': noise, 'length': len}
"""


@pytest.fixture
def functions(tmp_path, monkeypatch):
    "A module of functions, some of them hostile, that a worker can load."
    (tmp_path / "functions_under_test.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    return "functions_under_test:load"


@pytest.fixture(params=["fork", "no fork"])
def either(request, tmp_path, monkeypatch):
    "The same, where the system can fork and where it cannot."
    if request.param == "fork" and not hasattr(os, "fork"): pytest.skip("needs a system with fork")
    without = "\nif hasattr(os, 'fork'): del os.fork\n" if request.param == "no fork" else ""
    (tmp_path / "functions_either.py").write_text(FUNCTIONS + without)
    monkeypatch.syspath_prepend(tmp_path)
    return "functions_either:load"


@pytest.fixture
def pool(functions):
    p = Pool(functions, 1, SLOW)
    yield p
    p.close()


def judge(monkeypatch, tmp_path, body):
    "Let verifiers ask `body` instead of the judge."
    body = textwrap.indent(textwrap.dedent(body), "    ")
    text = f"import os, time\ndef equivalent(gold, answer, statement=''):\n{body}\ndef load(): return {{'equivalent': equivalent}}\n"
    (tmp_path / "judge_under_test.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(verifier_module, "JUDGE", "judge_under_test:load")


def boxed(text): return rf"Thus \boxed{{{text}}}."


def map_boxed(answers): return [boxed(a) for a in answers]


def formulas(n): return [f"x+{i}" for i in range(n)], [boxed(f"{i}+x") for i in range(n)]  # right, and not without algebra


@pytest.fixture(scope="module")
def verifier():
    with Verifier(timeout=SLOW, workers=1) as v: yield v


def alive(pid):
    try: os.kill(pid, 0)
    except ProcessLookupError: return False
    try: return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError: return not os.path.exists("/proc/self/stat")


def gone(pids, within):
    end = time.monotonic() + within
    while (left := [p for p in pids if alive(p)]) and time.monotonic() < end: time.sleep(0.05)
    return not left


def pids(pool): return [p for w in pool.alive for p in (w.process.pid, w.pid) if p]


# what hangs, dies or grows

def test_a_question_without_end_costs_its_own_deadline(either):
    pool = Pool(either, 1, 1.0)
    found = [pool.ask(*q) for q in (("double", 1), ("sleep", 600), ("double", 2), ("sleep", 600), ("double", 3))]
    assert found == [2, None, 4, None, 6]
    assert pool.lost == 2
    pool.close()


def test_one_long_computation_in_c_is_ended_too(functions):
    pool = Pool(functions, 1, 1.0)
    assert pool.ask("spin") is None and pool.ask("double", 2) == 4
    pool.close()


@posix
def test_a_successor_is_a_copy_and_no_new_start(functions):
    pool = Pool(functions, 1, 1.0)
    first = pool.ask("pid")
    fork_server = pool.alive[0].process.pid
    assert pool.ask("sleep", 600) is None
    assert pool.ask("pid") not in (first, fork_server) and [w.process.pid for w in pool.alive] == [fork_server]
    pool.close()


def test_a_question_that_kills_every_child_has_no_reply_and_others_are_unharmed(either):
    pool = Pool(either, 1, SLOW)
    assert [pool.ask("double", 1), pool.ask("die"), pool.ask("double", 2)] == [2, None, 4]
    assert pool.lost == 2  # the used child it met, and the fresh one that had its second chance
    assert pool.ask("die") is None
    pool.close()


def test_a_fresh_child_is_not_sacrificed_twice(pool):
    assert pool.ask("die") is None and pool.lost == 1


def test_a_question_that_meets_a_dying_child_is_asked_again(either, tmp_path):
    pool = Pool(either, 1, SLOW)
    assert [pool.ask("double", 1), pool.ask("once", str(tmp_path / "mark")), pool.ask("double", 2)] == [2, "survived", 4]
    assert pool.lost == 1
    pool.close()


@posix
def test_a_memory_bomb_ends_the_child_only(pool):
    assert [pool.ask("double", 1), pool.ask("bomb"), pool.ask("double", 2)] == [2, None, 4]


@posix
def test_the_limit_of_memory_counts_from_where_a_child_begins(functions):
    tight, wide = Pool(functions, 1, SLOW, memory=1 << 28), Pool(functions, 1, SLOW, memory=16 << 30)
    assert tight.ask("grow") is None and wide.ask("grow") and tight.ask("double", 2) == 4
    for pool in (tight, wide): pool.close()


@posix
def test_a_child_that_used_much_memory_retires_and_is_not_counted_as_lost(either):
    pool = Pool(either, 1, SLOW)
    found = [pool.ask("pid"), pool.ask("pid"), pool.ask("grow"), pool.ask("pid")]
    assert found[0] == found[1] == found[2] != found[3] and pool.lost == 0
    pool.close()


@posix
@pytest.mark.parametrize("victims", ["child", "fork_server", "both"])
def test_processes_killed_from_outside_are_replaced(pool, victims):
    for i in range(3):
        assert pool.ask("double", i) == 2 * i
        worker = next(w for w in pool.alive if not w.ended)
        if victims != "fork_server": os.kill(worker.pid, signal.SIGKILL)
        if victims != "child": os.kill(worker.process.pid, signal.SIGKILL)
    assert pool.ask("double", 7) == 14


def test_nothing_that_is_printed_or_read_disturbs_questions_and_replies(either):
    pool = Pool(either, 1, SLOW)
    assert [pool.ask("noise"), pool.ask("double", 1), pool.ask("noise")] == [["", "quiet"], 2, ["", "quiet"]]
    assert pool.lost == 0
    pool.close()


def test_a_reply_at_the_very_deadline_is_never_taken_for_that_to_the_next_question(functions):
    pool, rng = Pool(functions, 2, 0.05), random.Random(0)
    found = pool.ask_all([("late", 0.05 + rng.uniform(-0.01, 0.01), i) for i in range(80)])
    assert [f for i, f in enumerate(found) if f not in (i, None)] == []
    pool.close()


@posix
def test_long_questions_arrive_whole_also_where_a_child_has_just_been_killed(pool):
    text = "x" * 3_000_000
    for _ in range(5):
        assert pool.ask("length", text) == len(text)
        os.kill(pool.alive[-1].pid, signal.SIGKILL)
    assert pool.ask("double", 1) == 2


def test_a_child_ignores_the_end_of_a_line_that_its_predecessor_had_begun(pool):
    assert pool.ask("double", 1) == 2
    worker = pool.alive[0]
    for rest in ('"gold"], 5.0]\n', "5.0]\n", "\n", "7\n", "[1, 2, 3, 4]\n", '"a"\n'): worker.process.stdin.write(rest)
    assert pool.ask("double", 2) == 4 and pool.lost == 0


# starting

@pytest.mark.parametrize("load, words", [
    ("no_such_module:load", "ModuleNotFoundError: No module named 'no_such_module'"),
    ("functions_under_test:no_such_name", "AttributeError"),
    ("cannot_start:exits", "SystemExit: 3"),
    ("cannot_start:vanishes", "it ended at once"),
])
def test_a_worker_that_cannot_start_is_an_error_that_says_how_to_see_why(functions, tmp_path, load, words):
    (tmp_path / "cannot_start.py").write_text("import os, sys\ndef exits(): sys.exit(3)\ndef vanishes(): os._exit(0)\n")
    pool = Pool(load, 1, SLOW)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="did not start") as e: pool.ask("double", 1)
        module, name = load.split(":")
        assert words in str(e.value) and f"from {module} import {name}; {name}()" in str(e.value) and "\n" not in str(e.value)
    assert all(w.ended for w in pool.alive)


def test_a_worker_that_says_nothing_is_given_up(functions, tmp_path, monkeypatch):
    (tmp_path / "hangs.py").write_text("import time\ndef load(): time.sleep(600)\n")
    monkeypatch.setattr(module, "STARTUP", 0.5)
    with pytest.raises(RuntimeError, match="nothing came within"): Pool("hangs:load", 1, SLOW).ask("double", 1)


def test_workers_start_when_needed_and_no_more_than_allowed(functions):
    pool = Pool(functions, 3, SLOW)
    assert pool.alive == []
    assert pool.ask_all([("double", 1)]) == [2] and len(pool.alive) == 1
    assert pool.ask_all([("late", 0.2, i) for i in range(12)]) == list(range(12)) and len(pool.alive) == 3
    assert pool.ask_all([]) == []
    pool.close()


def test_workers_start_at_the_same_time(functions, tmp_path):
    "Each worker waits while loading until the other loads too: one after the other, neither would get ready."
    (tmp_path / "meeting.py").write_text(textwrap.dedent(f"""
        import os, time
        def load():
            open({str(tmp_path)!r} + f"/here-{{os.getpid()}}", "w").close()
            end = time.monotonic() + {SLOW}
            while sum(n.startswith("here-") for n in os.listdir({str(tmp_path)!r})) < 2 and time.monotonic() < end: time.sleep(0.01)
            if time.monotonic() >= end: raise RuntimeError("nobody else came")
            return {{"double": lambda x: 2 * x}}"""))
    pool = Pool("meeting:load", 2, SLOW)
    assert pool.ask_all([("double", 1), ("double", 2)]) == [2, 4]
    pool.close()


# interrupts

def test_an_interrupt_while_waiting_shifts_no_later_reply(pool, monkeypatch):
    assert pool.ask("double", 1) == 2
    worker = pool.alive[0]

    class Interrupted:
        def get(self, timeout): raise KeyboardInterrupt

        def empty(self): return True

    monkeypatch.setattr(worker, "messages", Interrupted())
    with pytest.raises(KeyboardInterrupt): pool.ask("double", 2)
    assert gone([worker.process.pid], SLOW)
    assert [pool.ask("double", 3), pool.ask("double", 4)] == [6, 8]


INTERRUPTED = """
import signal, sys
from extra_nb.verify.worker import Pool
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job, as the tests may be, is started with it ignored
sys.path.append(sys.argv[1])
pool = Pool("functions_under_test:load", int(sys.argv[2]), 500.0)
pool.ask_all([("late", 0.2, i) for i in range(4)])
print(*[p for w in pool.alive for p in (w.process.pid, w.pid)], flush=True)
try: pool.ask_all([("sleep", 400)] * int(sys.argv[2]))
except KeyboardInterrupt: print("interrupted", flush=True)
if sys.argv[3] == "goes on": print(pool.ask_all([("double", i) for i in range(4)]), flush=True)
"""


@posix
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("then", ["ends", "goes on"])
def test_ctrl_c_ends_what_is_waited_for_and_leaves_nothing(functions, tmp_path, workers, then):
    script = subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(tmp_path), str(workers), then], stdout=subprocess.PIPE, text=True,
                              start_new_session=True)
    processes = [int(p) for p in script.stdout.readline().split()]
    assert len(processes) == 2 * workers
    time.sleep(0.5)  # so that it waits
    os.killpg(script.pid, signal.SIGINT)  # as a terminal does
    out, _ = script.communicate(timeout=SLOW)
    assert out.split("\n")[:-1] == ["interrupted"] + ["[0, 2, 4, 6]"] * (then == "goes on") and script.returncode == 0
    assert gone(processes, SLOW)


# nothing is left behind

def test_close_leaves_nothing_and_may_be_followed_by_more_work(either):
    pool = Pool(either, 2, SLOW)
    pool.ask_all([("late", 0.2, 1), ("late", 0.2, 2)])
    processes = pids(pool)
    pool.close()
    pool.close()
    assert len(processes) == 4 and (os.name != "posix" or gone(processes, 5))
    assert pool.ask("double", 2) == 4
    processes = pids(pool)
    del pool
    assert processes and (os.name != "posix" or gone(processes, 5))


def test_close_tells_another_thread_that_waits(pool):
    found = []
    assert pool.ask("double", 1) == 2
    thread = threading.Thread(target=lambda: found.append(pool.ask("sleep", 600)))
    thread.start()
    time.sleep(0.3)
    pool.close()
    thread.join(SLOW / 2)
    assert found == [None]


ABANDONED = """
import os, sys, time
from extra_nb.verify.worker import Pool
sys.path.append(sys.argv[1])
pool = Pool("functions_under_test:load", 1, 500.0)
pool.ask("double", 1)
print(pool.alive[0].process.pid, pool.alive[0].pid, flush=True)
if "forked copy" in sys.argv[2]:
    copy = os.fork()
    if copy == 0: time.sleep(60)
    print(copy, flush=True)
if "sleeps" in sys.argv[2]: pool.ask("sleep", 400)
elif "spins" in sys.argv[2]: pool.ask("spin")
elif "waits" in sys.argv[2]: time.sleep(400)
"""


@posix
@pytest.mark.parametrize("state", ["ends", "waits", "sleeps", "spins", "waits, with a forked copy", "sleeps, with a forked copy"])
def test_workers_end_soon_after_their_parent(functions, tmp_path, state):
    "Half a second after, however long their deadline would be; also where a forked copy of the parent holds the pipes open."
    parent = subprocess.Popen([sys.executable, "-c", ABANDONED, str(tmp_path), state], stdout=subprocess.PIPE, text=True)
    processes = [int(p) for p in parent.stdout.readline().split()]
    copy = int(parent.stdout.readline()) if "copy" in state else None
    time.sleep(0.5)
    if state != "ends": parent.kill()
    parent.wait(SLOW)
    try: assert gone(processes, 20)
    finally:
        if copy: os.kill(copy, signal.SIGKILL)


@posix
def test_a_child_that_hangs_ends_without_parent_and_fork_server(functions):
    "Its own alarm, a second after the deadline."
    pool = Pool(functions, 1, 1.0)
    assert pool.ask("double", 1) == 2
    worker = pool.alive[0]
    worker._write([worker.pid, "spin", [], 1.0])
    os.kill(worker.process.pid, signal.SIGKILL)
    assert gone([worker.pid], 20)
    pool.close()


@posix
def test_an_idle_worker_ends_with_its_input(either):
    worker = Worker({"load": either, "payload": None, "memory": MEMORY})
    assert worker.ready()
    worker.process.stdin.close()
    assert worker.process.wait(SLOW) == 0 and gone([worker.pid], 5)


@posix
@pytest.mark.parametrize("closed", ["closed", "ended", "forgotten"])
def test_a_fork_server_that_somebody_else_waited_for_leaves_nothing_open(functions, closed):
    "Popen.kill waits for a process that has ended already: that is not yet being stopped."
    pool = Pool(functions, 1, 5.0)
    assert pool.ask("double", 1) == 2
    worker = pool.alive[0]
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    assert pool.ask("double", 2) == 4  # the child goes on without it
    if closed == "ended": worker.ended = True  # as after a broken pipe
    if closed == "forgotten":
        del pool
        gc.collect()
    else: pool.close()
    assert worker.process.stdin.closed and gone([worker.pid], SLOW)


@posix
def test_what_a_function_has_started_ends_with_the_pool(tmp_path, monkeypatch):
    (tmp_path / "starts.py").write_text("import subprocess\ndef load(): return {'start': lambda: subprocess.Popen(['sleep', '600']).pid}\n")
    monkeypatch.syspath_prepend(tmp_path)
    pool = Pool("starts:load", 1, SLOW)
    pid = pool.ask("start")
    assert alive(pid)
    pool.close()
    assert gone([pid], 5)


# threads, event loops, forked and spawned processes

def test_many_threads_share_a_verifier():
    with Verifier(timeout=SLOW, workers=2) as v, ThreadPoolExecutor(6) as threads:
        def ask(i): return [r.reason for r in v.verify([f"x+{i}"] * 3, [boxed(f"{i}+x"), boxed(f"x+{i + 1}"), boxed(f"x-{i}")])]
        assert list(threads.map(ask, range(1, 13))) == [["correct", "wrong", "wrong"]] * 12
        assert v.counts["correct"] == 12 and v.counts["wrong"] == 24 and len(v._pool.alive) <= 2


def test_several_workers_keep_the_order():
    with Verifier(timeout=SLOW, workers=3) as v:
        found = v.verify([f"x+{i}" for i in range(12)], [boxed(f"{i % 5}+x") for i in range(12)])
        assert [r.correct for r in found] == [i % 5 == i for i in range(12)]


def test_asyncio_goes_on_while_a_verifier_works(monkeypatch, tmp_path):
    judge(monkeypatch, tmp_path, "time.sleep(0.5)\nreturn 'correct'")

    async def both(v):
        async def tick():
            ticks = 0
            while not work.done():
                ticks += 1
                await asyncio.sleep(0.02)
            return ticks

        work = asyncio.ensure_future(v.averify(*formulas(2)))
        return await tick(), await work, await asyncio.to_thread(v.verify, *formulas(1)), v.verify(["x+7"], [boxed("7+x")])

    with Verifier(timeout=SLOW, workers=1) as v:
        ticks, *found = asyncio.run(both(v))
        assert ticks > 5 and [[r.correct for r in f] for f in found] == [[True, True], [True], [True]]


def test_several_tasks_share_a_verifier():
    async def all_of_them(v):
        return await asyncio.gather(*(v.averify([f"x+{i}"] * 2, [boxed(f"{i}+x"), boxed(f"{i}-x")]) for i in range(6)))

    with Verifier(timeout=SLOW, workers=2) as v:
        assert [[r.reason for r in found] for found in asyncio.run(all_of_them(v))] == [["correct", "wrong"]] * 6


def test_a_kernel_of_jupyter():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cells = ["from extra_nb.verifier import Verifier\nv = Verifier(timeout=60)",
             r"print([r.reason for r in v.verify(['x+1', 'x+2'], [r'\boxed{1+x}', r'\boxed{1+x}'])])",
             r"print([r.reason for r in await v.averify(['x+3'], [r'\boxed{3+x}'])])",
             "import os; print([p for w in v._pool.alive for p in (w.process.pid, w.pid)])"]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(nb, timeout=300, kernel_name="python3").execute()
    said = [c.outputs[0].text.strip() for c in nb.cells[1:]]
    assert said[:2] == ["['correct', 'wrong']", "['correct']"]
    assert os.name != "posix" or gone([int(p) for p in said[2].strip("[]").split(",")], 20)  # the kernel has ended


@posix
def test_a_forked_copy_neither_uses_nor_stops_the_workers(verifier):
    assert verifier.verify(["x+1"], [boxed("1+x")])[0].correct
    before, processes = verifier.restarts, pids(verifier._pool)
    pid = os.fork()
    if pid == 0:
        code = 1
        try: verifier.verify(["x+2"], [boxed("2+x")])
        except RuntimeError as e: code = 0 if "make a Verifier" in str(e) else 2
        verifier.close()
        for worker in verifier._pool.alive: worker.stop()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert processes and all(map(alive, processes))
    assert verifier.verify(["x+2"], [boxed("2+x")])[0].correct and verifier.restarts == before and pids(verifier._pool) == processes


def _own(queue):
    with Verifier(timeout=SLOW, workers=1) as v: queue.put([r.reason for r in v.verify(*formulas(2))])


def _sent(v, queue):
    with v: queue.put(([r.reason for r in v.verify(*formulas(2))], v.timeout, v.workers, v.fallbacks, v.counts["correct"]))


@posix
def test_a_verifier_made_in_a_forked_process(verifier):
    verifier.verify(*formulas(1))  # the parent has workers of its own
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_own, args=(queue,))
    process.start()
    assert queue.get(timeout=SLOW) == ["correct"] * 2
    process.join(SLOW)
    assert process.exitcode == 0


def test_a_verifier_sent_to_a_spawned_process(verifier):
    sent = Verifier(timeout=SLOW, workers=2, fallbacks=("hash",))
    sent.verify(["1"], ["#### 1"])
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_sent, args=(sent, queue))
    process.start()
    assert queue.get(timeout=SLOW) == (["correct"] * 2, SLOW, 2, ("hash",), 2)
    process.join(SLOW)
    assert process.exitcode == 0 and sent.counts["correct"] == 1


def test_a_pickled_verifier_is_a_new_one_with_the_same_settings(verifier):
    copy = pickle.loads(pickle.dumps(Verifier(timeout=3.0, workers=2, fallbacks=("hash", "phrase"))))
    assert (copy.timeout, copy.workers, copy.fallbacks, copy._pool.alive) == (3.0, 2, ("hash", "phrase"), [])


# what a verifier makes of it

def test_hostile_answers_cost_their_own_deadline_and_nobody_elses(monkeypatch, tmp_path):
    judge(monkeypatch, tmp_path, "if 'h' in answer: time.sleep(600)\nreturn 'correct' if 'g' in answer else 'wrong'")
    with Verifier(timeout=1.0, workers=2) as v:
        golds, answers = ["x+y"] * 15, [f"{kind}+{i}" for i in range(5) for kind in "ghb"]
        reasons = [r.reason for r in v.verify(golds, map_boxed(answers))]
        assert reasons == ["correct", "timeout", "wrong"] * 5
        assert v.restarts == 5 and v.counts == {**dict.fromkeys(REASONS, 0), **Counter(reasons)}


def test_equal_questions_of_a_call_are_asked_once(monkeypatch, tmp_path):
    judge(monkeypatch, tmp_path, f"""
        open({str(tmp_path / 'asked')!r}, 'a').write(answer + ' ')
        if 'h' in answer: time.sleep(600)
        return 'correct'""")
    with Verifier(timeout=1.0, workers=2) as v:
        reasons = [r.reason for r in v.verify(["x"] * 24, map_boxed(["h+1"] * 8 + ["a+b"] * 16))]
        assert reasons == ["timeout"] * 8 + ["correct"] * 16
        assert v.restarts == 1 and v.counts["timeout"] == 8
    assert Counter((tmp_path / "asked").read_text().split()) == {"h+1": 1, "a+b": 1}


def test_timeouts_are_logged_the_first_few_with_their_texts(monkeypatch, tmp_path, caplog):
    judge(monkeypatch, tmp_path, "time.sleep(600 if 'h' in answer else 0)\nreturn 'correct'")
    with Verifier(timeout=0.2, workers=2) as v, caplog.at_level(logging.WARNING, "extra_nb.verifier"):
        v.verify(["x+y"] * 4, map_boxed(["a", "b", "c", "d"]))
        assert caplog.records == []
        v.verify(["x+y"], map_boxed(["h+" + "z+" * 200]))
        assert len(caplog.records) == 1
        said = caplog.records[0].getMessage()
        assert "x+y" in said and "h+z+z+" in said and len(said) < 200 and "0.2" in said
        caplog.clear()
        v.verify(["x+y"] * 9, map_boxed([f"h+{i}" for i in range(9)]))
        few = verifier_module.LOGGED
        assert len(caplog.records) == few + 1 and f"{9 - few} other" in caplog.records[-1].getMessage()
        assert {r.name for r in caplog.records} == {"extra_nb.verifier"}


def test_a_missing_package_is_an_error_and_no_verdict(monkeypatch, tmp_path):
    judge(monkeypatch, tmp_path, "return 'error: No module named reasoning_gym'")
    with Verifier(timeout=SLOW) as v, pytest.raises(InputError, match="No module named reasoning_gym"): v.verify(["x"], [boxed("y+1")])


def test_no_worker_is_started_for_what_needs_none(monkeypatch):
    def fail(*args): raise AssertionError("a worker was started")

    monkeypatch.setattr(module, "Worker", fail)
    problems = arithmetic(300)
    with Verifier() as v:
        assert all(r.correct for r in v.judge(problems, [worked_solution(p) for p in problems]))
        assert not any(r.correct for r in v.judge(problems, [boxed(int(p.answer) + 1) for p in problems]))
        assert {r.reason for r in v.judge(problems, ["17"] * 300)} == {"no_answer"}
        with pytest.raises(AssertionError, match="a worker was started"): v.verify(["x+1"], [boxed("1+x")])


def test_settings_of_a_verifier(monkeypatch):
    monkeypatch.setattr(verifier_module, "_cores", lambda: 3)
    assert Verifier().workers == 3
    monkeypatch.setattr(verifier_module, "_cores", lambda: 64)
    assert (Verifier().workers, Verifier(workers=9).workers) == (4, 9)
    with pytest.raises(InputError, match="did you mean 'hash'") as e: Verifier(fallbacks=("hsah",))
    assert "\n" not in str(e.value)


def test_fallbacks_read_what_is_in_no_box():
    with Verifier(fallbacks=("hash",)) as v, Verifier() as strict:
        problems, responses = [Problem("a", "?", "7"), Problem("b", "?", "7")], ["3+4\n#### 7", "3+4\n#### 8"]
        assert [r.reason for r in v.judge(problems, responses)] == ["correct", "wrong"]
        assert [r.reason for r in strict.judge(problems, responses)] == ["no_answer"] * 2


def test_questions_of_the_judge_never_raise(monkeypatch):
    from extra_nb.verify import equality as judges

    def questions(what):
        def fail(*texts): raise what
        monkeypatch.setattr(judges, "QUESTIONS", {"equivalent": fail})
        monkeypatch.setattr(judges, "warm_up", lambda: None)
        return module.judge_functions()["equivalent"]

    for strange in (ValueError("x"), RecursionError(), ZeroDivisionError(), KeyError(1)):
        assert questions(strange)("x", "y") == "unparseable"
    assert questions(ImportError("no sympy"))("x", "y") == "error: no sympy"
    with pytest.raises(MemoryError): questions(MemoryError())("x", "y")


def test_worker_processes_are_light():
    heavy = ("torch", "sympy", "math_verify", "dill", "extra_nb.types")
    code = f"import sys, extra_nb.verify.worker; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_large_parent_does_not_make_its_workers_look_large():
    "Linux counts the parent's peak memory as the child's own; a worker that believes it retires after every answer."
    code = ("import numpy; block = numpy.ones(100_000_000); from extra_nb.verifier import Verifier\n"
            "with Verifier(workers=1) as v:\n"
            "    found = set()\n"
            "    for i in range(4):\n"
            "        v.verify([r'\\frac{1}{2}'], [r'\\boxed{x^%d}' % i])\n"
            "        found |= {(w.process.pid, w.pid) for w in v._pool.alive}\n"
            "    print(v.restarts, len(found))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["0", "1"], done.stdout + done.stderr


@posix
def test_a_worker_whose_parent_dies_while_it_starts_ends_too():
    "It would find that nobody reads, start a successor, and so on for ever."
    script = ("import os; from extra_nb.verify.worker import MEMORY, Worker\n"
              "worker = Worker({'load': 'extra_nb.verify.worker:judge_functions', 'payload': None, 'memory': MEMORY})\n"
              "print(worker.process.pid, flush=True); os.kill(os.getpid(), 9)")
    parent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert parent.returncode == -9 and gone([int(parent.stdout)], 60)
