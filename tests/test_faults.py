"Faults during a run: what goes on, what stops in one line, and that nothing is torn after either."
import errno
import importlib.machinery
import importlib.util
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types

import pytest
import torch
from torch.testing import assert_close

from extra_nb.running import checkpoints as files
from extra_nb.running.checkpoints import checkpoints, damage, last_checkpoint
from extra_nb.cli import train_main
from extra_nb.embedders import NgramEmbedder
from extra_nb.novelty import NoveltyBonus
from extra_nb.policy import load_policy, tiny_policy
from extra_nb.regeneration import PrefixRegeneration
from extra_nb.tasks import arithmetic, load_problems
from extra_nb.models.hub import hub_answers, hub_or_cache
from extra_nb.running.trackers import AsyncTracker, tracker_named
from extra_nb.running.saving import open_run
from extra_nb.running.steps import Clock
from extra_nb.train import RunStopped, Trainer
from extra_nb.types import InputError, Verdict, stable_hash
from extra_nb.verifier import Verifier

PROBLEMS = arithmetic(8, levels=(2, 3), seed=2)


class Judge:
    def judge(self, problems, responses):
        right = [stable_hash(r) % 3 == 0 for r in responses]
        return [Verdict(r, "correct" if r else "wrong") for r in right]


def both(embedder=None):
    embedder = embedder or NgramEmbedder()
    return [NoveltyBonus(embedder=embedder, min_history=4), PrefixRegeneration(start_step=1, per_step=1, min_gap=2, cut_at="entropy", embedder=embedder)]


def trainer(out=None, mechanisms=(), **settings):
    settings = {"steps": 3, "problems_per_step": 2, "group_size": 4, "max_new_tokens": 10, "lr": 3e-3, "say": None, "verifier": Judge(), **settings}
    return Trainer(settings.pop("policy", None) or tiny_policy(), PROBLEMS, mechanisms, out=out, **settings)


def weights(t): return torch.cat([p.detach().flatten() for p in t.policy.model.parameters()])


def lines(out): return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def log(out): return [{k: v for k, v in m.items() if not k.startswith("time/")} for m in lines(out)]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    "The same run without any fault: (weights, metrics)."
    out = tmp_path_factory.mktemp("healthy")
    t = trainer(out, both(), checkpoint_every=1)
    t.fit()
    return weights(t), log(out)


def assert_recovers(out, healthy, steps=None):
    "What the fault left is whole, and a resumed run ends like a healthy one."
    for folder in checkpoints(out): assert damage(folder) is None
    assert not list(out.rglob(".*.part")), "half a file was left"
    found = [m["step"] for m in lines(out)] if (out / "metrics.jsonl").exists() else []
    assert found == list(range(1, len(found) + 1))
    t = trainer(out, both(), checkpoint_every=1)
    at = t.resume()
    assert steps is None or at == steps
    t.fit()
    assert_close(weights(t), healthy[0], atol=0, rtol=0)
    assert log(out) == healthy[1]


# ---- disks

@pytest.fixture
def small_disk():
    "A function: from now on no file may grow beyond so many bytes; writes beyond fail in the middle, as on a full disk."
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_while_a_checkpoint_is_written(tmp_path, healthy, small_disk):
    t = trainer(tmp_path, both(), checkpoint_every=0)
    t.step(), t.save_checkpoint()
    small_disk(100_000)  # room for the logs, not for the model
    with pytest.raises(RunStopped) as e: t.fit()
    small_disk(-1)
    assert "step-000001 by making the same Trainer with out=" in str(e.value) and "\n" not in str(e.value)
    assert [p.name for p in checkpoints(tmp_path)] == ["step-000001"]
    assert_recovers(tmp_path, healthy, 1)


@pytest.mark.parametrize("room", [0, 10, 5000])
def test_a_disk_that_is_full_while_the_log_is_written(tmp_path, healthy, small_disk, room):
    t = trainer(tmp_path, both(), checkpoint_every=0, keep_rollouts=False)
    t.step(), t.save_checkpoint()
    small_disk((tmp_path / "metrics.jsonl").stat().st_size + room if room < 5000 else room // 5000)
    with pytest.raises(RunStopped) as e: t.fit()
    small_disk(-1)
    assert "OSError" in str(e.value) and "\n" not in str(e.value)
    assert len(lines(tmp_path)) == 1  # no half line
    assert_recovers(tmp_path, healthy, 1)


def test_a_log_that_cannot_be_written_for_a_while_is_made_up_for(tmp_path, healthy, monkeypatch):
    "A caller who goes on after the error loses no line and no rollout."
    t = trainer(tmp_path, both())
    with monkeypatch.context() as patch:
        patch.setattr("extra_nb.running.directory.append_line", lambda *a: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        for _ in range(2):
            with pytest.raises(OSError): t.step()
        with pytest.raises(OSError): t.save_checkpoint()  # which would count on the lines
        assert not checkpoints(tmp_path)
    t.fit()
    assert log(tmp_path) == healthy[1] and len(list((tmp_path / "rollouts").iterdir())) == 3


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_last_moment(tmp_path, healthy, monkeypatch, call):
    t = trainer(tmp_path, both(), checkpoint_every=0)
    t.step(), t.save_checkpoint()
    real = getattr(os, call)

    def fails(*args, **kwargs):
        if call == "fsync" or str(args[1]).endswith("step-000003"): raise OSError(errno.EIO, "Input/output error")
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(RunStopped, match="Input/output error"): t.fit()
    assert [p.name for p in checkpoints(tmp_path)] == ["step-000001"]
    assert_recovers(tmp_path, healthy, 1)


def test_half_a_line_is_taken_back(tmp_path, small_disk):
    path = tmp_path / "log.jsonl"
    files.append_line(path, '{"step": 1}')
    small_disk(path.stat().st_size + 4)
    with pytest.raises(OSError): files.append_line(path, '{"step": 2}')
    small_disk(-1)
    assert path.read_text() == '{"step": 1}\n'
    small_disk(4)
    with pytest.raises(OSError): files.write_whole(tmp_path / "config.json", "123456")
    small_disk(-1)
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_run_directory_that_cannot_be_made(tmp_path, capsys):
    "A file stands where the folder should be; the superuser of a container heeds no permissions, but this stops everybody."
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written") as e: trainer(tmp_path / "file" / "run").fit()
    assert "\n" not in str(e.value)
    assert train_main(["--preset", "tiny", "--out", str(tmp_path / "file" / "run")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cannot be made" in error


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_a_read_only_run_directory(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot be written"): trainer(tmp_path).fit()
    finally: tmp_path.chmod(0o700)


# ---- parts that fail

@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_an_embedder_that_fails(tmp_path, healthy, at):
    "In the advantage nothing has been learned yet, and the step before is saved; in a memory the update has been made."
    calls, real = [], NgramEmbedder()

    def embedder(texts):
        calls.append(1)
        if len(calls) == at: raise ConnectionError("the embedding server is gone")
        return real(texts)

    t = trainer(tmp_path, both(embedder), checkpoint_every=0)
    t.save_checkpoint()
    with pytest.raises(RunStopped) as e: t.fit()
    assert "the embedding server is gone" in str(e.value) and "calling its resume()" in str(e.value) and "\n" not in str(e.value)
    assert "the embedding server is gone" in (tmp_path / "fault.txt").read_text()
    assert_recovers(tmp_path, healthy)


def test_workers_of_the_verifier_that_are_killed_change_nothing(tmp_path):
    "Every response is judged against a gold that needs algebra, and the workers die before each step."
    def run(kill):
        with Verifier(timeout=20, workers=2) as verifier:
            class Algebra:
                def judge(self, problems, responses):
                    if kill:
                        for worker in verifier._pool.alive: worker.process.kill() if kill == "nursery" else worker.pid and os.kill(worker.pid, signal.SIGKILL)
                    golds = [f"x+{stable_hash(r) % 3}" for r in responses]
                    return verifier.verify(golds, ["\\boxed{1+x}"] * len(responses))

            t = trainer(None, both(), verifier=Algebra())
            history = t.fit()
        return weights(t), [(m["reward/mean"], m["verdict/timeout"]) for m in history]

    plain = run(None)
    assert 0 < plain[1][0][0] < 1 and all(late == 0 for _, late in plain[1])
    for kill in ("nursery", "child"):
        again = run(kill)
        assert again[1] == plain[1]
        assert_close(again[0], plain[0], atol=0, rtol=0)


@pytest.mark.parametrize("ask", [lambda: load_policy("somebody/some-model"), lambda: load_problems("somebody/some-set"), lambda: load_problems("gsm8k")])
def test_a_hub_that_cannot_be_reached(ask):
    with pytest.raises(InputError, match="cannot (be loaded|load)") as e: ask()
    assert "\n" not in str(e.value)


HUB = """
import sys, time
from extra_nb.cli import train_main
from extra_nb.tasks import load_problems
import datasets, transformers
start = time.perf_counter()
codes = [train_main(["--preset", "tiny", "--out", sys.argv[1], *argv]) for argv in (["--model", "somebody/some-model"], ["--train", "openai/gsm8k"])]
print(codes, time.perf_counter() - start, file=sys.stdout)
"""


def test_a_hub_that_does_not_answer_is_not_waited_for(tmp_path):
    "Left alone, its client asks for a minute or so; nobody listens at this port."
    env = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    done = subprocess.run([sys.executable, "-c", HUB, str(tmp_path / "r")], capture_output=True, text=True, timeout=300,
                          env={**env, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub"), "NO_PROXY": "*", "OMP_NUM_THREADS": "1"})
    codes, seconds = re.search(r"(\[.*\]) ([0-9.]+)$", done.stdout.strip()).groups()
    said = [line for line in done.stderr.splitlines() if line.startswith("extra-train: ")]
    assert codes == "[2, 2]" and len(said) == 2 and "some-model" in said[0] and "gsm8k" in said[1], done.stderr
    assert float(seconds) < 20, "twice 23 seconds and more without the look at the connection"


def test_the_hub_is_looked_for_where_it_is_said_to_be(monkeypatch):
    "At its endpoint, or at the proxy; and it is asked again by whoever comes later."
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"): monkeypatch.delenv(name, raising=False), monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        assert hub_answers()
        monkeypatch.setattr(constants, "ENDPOINT", "https://127.0.0.1:9")
        assert not hub_answers(0.5)
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        assert hub_answers()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert not hub_answers(0.5)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub_or_cache("somebody/some-model"): assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


# ---- trackers

@pytest.mark.parametrize("error", [ConnectionError("no route to host"), TimeoutError("timed out"), RuntimeError("wandb: quota exceeded\nand more"), SystemExit(1)])
def test_a_tracker_that_fails_never_stops_training(tmp_path, healthy, error):
    said = []

    def tracker(metrics): raise error

    t = trainer(tmp_path, both(), on_metrics=tracker, say=said.append, checkpoint_every=1)
    t.fit()
    assert_close(weights(t), healthy[0], atol=0, rtol=0)
    assert t.tracker.failed == 3 and t.tracker.dropped == 0
    told = [m["tracker/failed"] for m in lines(tmp_path)]
    assert told == sorted(told) and told[-1] <= 3
    assert 1 <= sum("the tracker failed" in line for line in said) <= 2 and all("\n" not in line for line in said)  # when it begins, and in all


def test_a_tracker_that_hangs_is_not_waited_for(tmp_path, healthy):
    said, free = [], threading.Event()
    t = trainer(tmp_path, both(), on_metrics=lambda metrics: free.wait(), say=said.append)
    t.tracker = AsyncTracker(t.tracker.tracker, room=1, patience=0.1)
    start = time.perf_counter()
    t.fit()
    assert time.perf_counter() - start < 60
    free.set()
    assert_close(weights(t), healthy[0], atol=0, rtol=0)
    assert t.tracker.dropped == 2 and "the tracker was too slow for 2 steps" in said[-1]


def test_a_tracker_is_told_every_step_and_cannot_change_the_log(tmp_path, healthy):
    told = []
    t = trainer(tmp_path, both(), on_metrics=lambda m: (told.append(dict(m)), m.clear()))
    t.fit()
    assert [m["step"] for m in told] == [1, 2, 3] and [m["reward/mean"] for m in told] == [m["reward/mean"] for m in lines(tmp_path)]
    assert len(t.fit()) == 3 and t.step()["step"] == 4  # a trainer that goes on tells again
    t.close()
    assert [m["step"] for m in told] == [1, 2, 3, 4]


WANDB = """
import json, pathlib
told = pathlib.Path(__file__).with_name("told.jsonl")
def note(**said): told.open("a").write(json.dumps(said) + "\\n")
class Run:
    def log(self, metrics, step): note(step=step, reward=metrics["reward/mean"])
    def finish(self): note(finished=True)
def init(**settings):
    note(**{k: settings[k] for k in ("project", "name", "id", "resume")}, gamma=settings["config"]["gamma"])
    return Run()
"""


def test_wandb_is_told_and_goes_on_in_the_same_place(tmp_path, monkeypatch):
    "A module that is called wandb and writes down what it is told."
    (tmp_path / "wandb.py").write_text(WANDB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    short = ["--preset", "tiny", "--steps", "2", "--warm-start-steps", "1", "--heldout", "0", "--no-report"]
    assert train_main([*short, "--track", "wandb", "--out", str(tmp_path / "r")]) == 0
    assert train_main(["--resume", str(tmp_path / "r"), "--steps", "3"]) == 0
    sys.modules.pop("wandb")
    begun, first, second, end, again, third, _ = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert begun == again and begun["project"] == "extra_nb" and begun["name"] == "r" and begun["resume"] == "allow" and len(begun["id"]) == 16
    assert [m["step"] for m in (first, second, third)] == [1, 2, 3] and first["reward"] == lines(tmp_path / "r")[0]["reward/mean"] and end == {"finished": True}


def test_tensorboard_is_told(tmp_path, monkeypatch):
    "The real one where it is installed, else one that stands in for it."
    out = tmp_path / "r"
    out.mkdir()
    if importlib.util.find_spec("tensorboard") is None:
        told = []

        class SummaryWriter:
            def __init__(self, folder, purge_step): told.append((folder, purge_step))
            def add_scalar(self, *args): told.append(args)
            def flush(self): pass
            def close(self): told.append("closed")

        monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
        sys.modules["tensorboard"].__spec__ = importlib.machinery.ModuleSpec("tensorboard", None)
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    tracker = tracker_named("tensorboard", out, {})
    tracker({"step": 3, "reward/mean": 0.5, "alarms": ["dead_groups"], "loss/kl": None})
    tracker.close()
    if "told" in locals(): assert told == [(str(out / "tensorboard"), 3), ("reward/mean", 0.5, 3), "closed"]
    else: assert list((out / "tensorboard").iterdir())


@pytest.mark.parametrize("name, words", [("wandb", "pip install 'extra_nb[wandb]'"), ("wandbb", "did you mean 'wandb'"), ("pprint:pprin", "did you mean 'pprint'"),
                                         ("no_such_module:log", "cannot be imported"), ("broken:log", "ZeroDivisionError")])
def test_a_tracker_that_is_not_there_is_one_line_at_the_start(tmp_path, monkeypatch, capsys, name, words):
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    if name == "wandb" and importlib.util.find_spec("wandb"): pytest.skip("wandb is installed")
    assert train_main(["--preset", "tiny", "--track", name, "--out", "r"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error, error
    assert str(tmp_path) not in sys.path


# ---- numbers

class InfiniteGradient(torch.autograd.Function):
    "The loss as it is, and a gradient that is not finite."
    @staticmethod
    def forward(ctx, loss): return loss.clone()

    @staticmethod
    def backward(ctx, gradient): return gradient * math.inf


def poison(t, monkeypatch, what, steps):
    "Let the loss be nan, or its gradient infinite, in these steps."
    import extra_nb.train as module

    real = module.batch_loss

    def loss(*args):
        value, info = real(*args)
        if t.step_count + 1 not in steps: return value, info
        if what == "loss": return value * math.nan, dict.fromkeys(info, math.nan)
        return InfiniteGradient.apply(value), info

    monkeypatch.setattr(module, "batch_loss", loss)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_that_is_not_finite_stops_the_run(tmp_path, healthy, monkeypatch, what):
    t = trainer(tmp_path, both(), checkpoint_every=0)
    with monkeypatch.context() as patch:
        poison(t, patch, what, {2})
        t.step()
        before = weights(t).clone()
        with pytest.raises(RunStopped) as e: t.fit()
    assert "step 2" in str(e.value) and f"the {what}" in str(e.value) and "step-000001" in str(e.value)
    assert_close(weights(t), before, atol=0, rtol=0)
    assert_recovers(tmp_path, healthy, 1)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_or_is_skipped_and_counted(tmp_path, monkeypatch, what):
    said = []
    t = trainer(tmp_path, both(), on_bad_step="skip", say=said.append)
    poison(t, monkeypatch, what, {2})
    t.step()
    before, moments = weights(t).clone(), [s["exp_avg"].clone() for s in t.optimiser.state_dict()["state"].values()]
    t.step()
    assert_close(weights(t), before, atol=0, rtol=0)
    assert all(torch.equal(a, s["exp_avg"]) for a, s in zip(moments, t.optimiser.state_dict()["state"].values()))
    t.fit()
    assert not torch.equal(weights(t), before) and weights(t).isfinite().all()
    assert [m["optim/skipped_updates"] for m in lines(tmp_path)] == [0, 1, 0]
    assert all(math.isfinite(v) for m in lines(tmp_path) for v in m.values() if isinstance(v, float))
    assert sum("this update is skipped" in line for line in said) == 1


def test_only_the_bad_mini_batch_is_skipped(monkeypatch):
    import extra_nb.train as module

    t, calls, real = trainer(None, on_bad_step="skip", minibatch_problems=1, epochs=2), [], module.batch_loss

    def loss(*args):
        calls.append(1)
        value, info = real(*args)
        return (value * math.inf if len(calls) == 2 else value), info

    monkeypatch.setattr(module, "batch_loss", loss)
    m = t.step()
    assert m["optim/skipped_updates"] == 1 and next(iter(t.optimiser.state_dict()["state"].values()))["step"] == 3


def test_a_negative_loss_is_reported(monkeypatch):
    import extra_nb.train as module

    real = module.batch_loss
    monkeypatch.setattr(module, "batch_loss", lambda *args: (lambda value, info: (value - 5.0, info))(*real(*args)))
    assert trainer(None).step()["loss/policy"] < -4


def test_numbers_that_json_lacks_are_written_as_null(tmp_path):
    t = trainer(tmp_path)
    t.directory.unwritten.append(({"step": 1, "a": math.nan, "b": math.inf, "c": 1.5, "alarms": []}, []))
    open_run(t), t.directory.write_log()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == {"step": 1, "a": None, "b": None, "c": 1.5, "alarms": []}


# ---- memory

def crowded(monkeypatch, rows, error=None):
    "Memory for so many responses at a time, and not for more."
    import extra_nb.train as module

    real, tried = module.batch_loss, []

    def loss(policy, rollouts, *args):
        tried.append(len(rollouts))
        if len(rollouts) > rows: raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nand more")
        return real(policy, rollouts, *args)

    monkeypatch.setattr(module, "batch_loss", loss)
    return tried


def gradient(t):
    groups, advantages, _ = t.collect(1, Clock())
    sums = t.accumulate([r for g in groups for r in g.rollouts], advantages.flatten())
    return torch.cat([p.grad.flatten() for p in t.parameters]), sums


@pytest.mark.parametrize("error", [None, MemoryError(), RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory")])
def test_a_micro_batch_without_memory_is_halved_with_the_same_gradient(monkeypatch, error):
    plain, sums = gradient(trainer(None))
    said = []
    with monkeypatch.context() as patch:
        tried = crowded(patch, 4, error)
        t = trainer(None, say=said.append)
        halved, counted = gradient(t)
    assert tried[0] > 4 and max(tried[1:]) <= 4 and sum(tried[1:]) == tried[0]
    assert plain.norm() > 0.01
    assert_close(halved, plain, atol=1e-6, rtol=1e-4)
    assert counted["halved"] == 1 and counted["tokens"] == sums["tokens"] and counted["loss"] == pytest.approx(sums["loss"], abs=1e-5)
    assert len(said) == 1 and "it is halved" in said[0] and "micro_batch_tokens" in said[0]


def test_memory_that_runs_out_in_a_backward_pass_leaves_no_half_gradient(monkeypatch):
    plain, _ = gradient(trainer(None, micro_batch_tokens=60))
    t = trainer(None, micro_batch_tokens=60)
    calls, real = [], torch.Tensor.backward

    def backward(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            real(self, *args, **kwargs)
            t.parameters[3].grad = None  # as if it had ended before this one
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "backward", backward)
    halved, counted = gradient(t)
    assert counted["halved"] == 1
    assert_close(halved, plain, atol=1e-6, rtol=1e-4)


def test_memory_that_does_not_suffice_for_a_half_stops_the_run_in_one_line(tmp_path, monkeypatch, healthy):
    t = trainer(tmp_path, both(), checkpoint_every=0)
    t.step()
    with monkeypatch.context() as patch:
        crowded(patch, 0)
        with pytest.raises(RunStopped, match="out of memory with .* responses in a micro-batch; micro_batch_tokens=4096") as e: t.fit()
    assert "\n" not in str(e.value)
    assert_recovers(tmp_path, healthy, 1)


def cramped(t, patch, rows):
    "Let the trainer's sampler have memory for so many rows; what it was asked for."
    asked, draw = [], t.draw

    def sample(*args, max_rows, **options):
        asked.append(max_rows)
        if min(max_rows, 8) > rows: raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return draw(*args, max_rows=max_rows, **options)

    patch.setattr(t, "draw", sample)
    return asked


def test_memory_that_runs_out_in_sampling_halves_the_rows_for_good_and_draws_the_same(tmp_path, monkeypatch):
    said = []
    t = trainer(tmp_path, both(), say=said.append)
    asked = cramped(t, monkeypatch, 4)
    t.step(), t.step()
    assert asked[:2] == [256, 4] and set(asked[2:]) == {4}
    found = [line for line in said if "out of memory" in line]
    assert len(found) == 1 and "with 8 responses decoded at a time; from now on 4 (a smaller max_rows than 256" in found[0]
    plain = trainer(None, both())
    usual = [plain.step(), plain.step()]
    assert [m["sample/rows"] for m in lines(tmp_path)] == [4, 4] and usual[1]["sample/rows"] == 256
    for one, other in zip(lines(tmp_path), usual): assert one["tokens/generated"] == other["tokens/generated"] and one["reward/mean"] == other["reward/mean"]
    assert_close(weights(t), weights(plain), atol=1e-5, rtol=1e-3)
    t.save_checkpoint()
    again = trainer(tmp_path / "again", both())
    again.resume(last_checkpoint(tmp_path))
    assert again.rows == 4


def test_memory_that_is_too_little_for_one_group_names_what_is_too_large(tmp_path, monkeypatch, healthy):
    t = trainer(tmp_path, both(), checkpoint_every=0)
    t.step()
    with monkeypatch.context() as patch:
        cramped(t, patch, 0)
        with pytest.raises(RunStopped, match="out of memory with 4 responses decoded at a time, those of one problem; group_size or"): t.fit()
    assert t.rows == 256
    assert_recovers(tmp_path, healthy, 1)


def test_other_errors_are_not_taken_for_want_of_memory(monkeypatch):
    crowded(monkeypatch, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"): trainer(None).step()


# ---- signals

@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_ends_a_run_in_order_and_a_second_one_at_once(tmp_path, healthy, signum, times):
    said = []

    class Interrupting(Judge):
        steps = 0

        def judge(self, problems, responses):
            self.steps += 1
            if self.steps == 2:
                for _ in range(times): os.kill(os.getpid(), signum)
            return super().judge(problems, responses)

    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    t = trainer(tmp_path, both(), verifier=Interrupting(), say=said.append, checkpoint_every=0)
    if times == 2:
        with pytest.raises(KeyboardInterrupt) as e: t.fit()
        assert e.value.args == (signum,)
    else:
        t.fit()
        assert t.interrupted == signum
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert f"out={str(tmp_path)!r} and calling its resume()" in said[-1] and any("once more to stop at once" in line for line in said)
    assert len(lines(tmp_path)) == (2 if times == 1 else 1)
    assert_recovers(tmp_path, healthy, 2 if times == 1 else 1)


def test_a_run_that_was_interrupted_goes_on_in_the_same_process(tmp_path, healthy):
    t = trainer(tmp_path, both())

    class Interrupting(Judge):
        def judge(self, problems, responses):
            t._verifier = Judge()
            os.kill(os.getpid(), signal.SIGINT)
            return super().judge(problems, responses)

    t._verifier = Interrupting()
    assert len(t.fit()) == 1 and t.interrupted
    assert len(t.fit()) == 3 and not t.interrupted
    assert_close(weights(t), healthy[0], atol=0, rtol=0)


def test_a_line_that_is_interrupted_by_a_signal_is_no_fault(tmp_path):
    "print refuses to be called from a signal handler that interrupted it."
    def say(line):
        if "once more" in line: raise RuntimeError("reentrant call inside <_io.BufferedWriter>")

    class Interrupting(Judge):
        def judge(self, problems, responses):
            os.kill(os.getpid(), signal.SIGTERM)
            return super().judge(problems, responses)

    t = trainer(tmp_path, verifier=Interrupting(), say=say)
    assert len(t.fit()) == 1 and last_checkpoint(tmp_path).name == "step-000001"


def test_the_command_says_one_line_and_fails_when_the_disk_is_full(tmp_path):
    code = ("import resource, sys; from extra_nb.cli import train_main\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY)); sys.exit(train_main(sys.argv[1:]))")
    done = subprocess.run([sys.executable, "-c", code, "--preset", "tiny", "--warm-start-steps", "1", "--heldout", "0", "--out", str(tmp_path / "r")],
                          capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith("extra-train: "), done.stderr
    assert not checkpoints(tmp_path / "r")
