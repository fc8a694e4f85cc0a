"Two processes that make one run (gloo): equal to one process up to rounding, to their own resumed run bit for bit, and never a hang."
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close

from extra_nb.cli import train_main
from extra_nb.running.ranks import join, shares
from extra_nb.types import InputError

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
import two_ranks

SECONDS = 240  # a process that has not ended by then hangs


def in_two(argv, root, env=()):
    "Run a command as two processes of one run: (exit status, stdout, stderr) of each."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    meeting = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root), **dict(env)}
    found = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root,
                              env={**meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)]
    try: said = [p.communicate(timeout=SECONDS) for p in found]
    finally:
        for p in found: p.kill()
    return [(p.returncode, *texts) for p, texts in zip(found, said)]


def driver(root, scenario, folder): return in_two([sys.executable, str(root / "tests" / "two_ranks.py"), scenario, str(folder)], root)


def log(out): return [{k: v for k, v in json.loads(line).items() if not k.startswith("time/")} for line in (out / "metrics.jsonl").read_text().splitlines()]


def responses(out): return {p.name: [json.loads(line) for line in p.read_text().splitlines()] for p in sorted((out / "rollouts").iterdir())}


@pytest.fixture(scope="module")
def runs(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    found = driver(root, "runs", folder)
    assert [code for code, _, _ in found] == [0, 0], found
    return folder, found


@pytest.mark.parametrize("name", two_ranks.RUNS)
def test_a_resumed_run_of_two_equals_one_at_a_stretch_bit_for_bit(runs, name):
    folder, _ = runs
    one, other = (torch.load(folder / f"{name}-{rank}.pt") for rank in range(2))
    for found in (one["parts"], other["whole"], other["parts"]): assert torch.equal(found, one["whole"])
    whole, parts = folder / f"{name}-whole", folder / f"{name}-parts"
    assert log(whole) == log(parts) and len(log(whole)) == 4
    for p in (whole / "rollouts").iterdir(): assert p.read_bytes() == (parts / "rollouts" / p.name).read_bytes()
    for p in (whole / "checkpoints" / "step-000004").rglob("*"):
        if p.suffix == ".safetensors" or p.name == "state.json": assert p.read_bytes() == (parts / p.relative_to(whole)).read_bytes(), p.name
    assert sum(m["regen/groups"] for m in log(parts)[2:]) > 0 and sum(m["novelty/paid"] for m in log(parts)[2:]) > 0


@pytest.mark.parametrize("name", two_ranks.RUNS)
def test_two_processes_do_what_one_does(runs, tmp_path, name):
    "The same texts and verdicts; numbers up to rounding, which a different number of rows in a product changes."
    folder, _ = runs
    alone = two_ranks.trainer(tmp_path, **two_ranks.RUNS[name])
    alone.fit()
    both = folder / f"{name}-whole"
    assert_close(torch.load(folder / f"{name}-0.pt")["whole"], two_ranks.weights(alone), atol=2e-4, rtol=0)
    exact = ("step", "problem", "origin", "sample", "text", "tokens", "finish_reason", "correct", "reward")
    for step, lines in responses(tmp_path).items():
        theirs = responses(both)[step]
        assert [[r[k] for k in exact] for r in theirs] == [[r[k] for k in exact] for r in lines]
        for key in ("logprob", "mean_entropy"): assert [r[key] for r in theirs] == pytest.approx([r[key] for r in lines], abs=1e-3)
    for theirs, ours in zip(log(both), log(tmp_path)):
        assert theirs.keys() == ours.keys()
        for key, value in ours.items(): assert theirs[key] == (value if isinstance(value, str) else pytest.approx(value, abs=2e-3, rel=2e-3)), key


def test_a_run_of_two_goes_on_in_one_process(runs, tmp_path):
    folder, _ = runs
    t = two_ranks.trainer(tmp_path, **two_ranks.RUNS["full"])
    assert t.resume(folder / "full-whole") == 4
    assert torch.equal(two_ranks.weights(t), torch.load(folder / "full-0.pt")["whole"])


def test_processes_that_come_apart_are_stopped(runs):
    for _, out, _ in runs[1]: assert "have come apart: a sum over weights after step 1 is" in json.loads(out.splitlines()[-1])


def test_what_fails_on_one_rank_ends_both_in_one_line_and_nothing_hangs(root, tmp_path):
    (_, out, _), killed = driver(root, "faults", tmp_path)
    assert killed[0] == -signal.SIGKILL
    said = json.loads(out.splitlines()[-1])
    for where in ("sample", "judge", "gradient"):
        assert said[where].startswith("stopped after step 1: ValueError: a fault on one rank and its second line (details in") and "calling its resume()" in said[where]
        assert "in process 1:" in (tmp_path / where / "fault.txt").read_text()
    assert said["resumed equals"] is True
    assert said["asked"] == [2, signal.SIGTERM]  # the leader saved, though another was asked
    assert (tmp_path / "asked" / "checkpoints" / "step-000002").is_dir()
    assert "ConnectionError: process 0 of 2 has lost the others" in said["killed"] and "\n" not in said["killed"]
    assert (tmp_path / "killed" / "checkpoints" / "step-000001").is_dir()


def test_the_command_in_two_processes(root, tmp_path):
    argv = [sys.executable, "-c", "import sys; from extra_nb.cli import train_main; sys.exit(train_main())", "--preset", "tiny", "--steps", "2",
            "--warm-start-steps", "10", "--eval-samples", "2", "--eval-k", "1", "--no-report", "--out", str(tmp_path / "run")]
    (code, out, err), other = in_two(argv, root)
    assert code == other[0] == 0, err + other[2]
    assert other[1] == "" and "step 2/2" in out and out.count("evaluating after training") == 1
    assert json.loads((tmp_path / "run" / "eval.json").read_text())["after"]["problems"] == 8


@pytest.mark.parametrize("rank, said", [("0", 1), ("1", 0)])
def test_a_mistake_is_said_once(rank, said, monkeypatch, capsys):
    monkeypatch.setenv("RANK", rank)
    assert train_main(["--group-size", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == said


def test_shares():
    loads = {f"p{i}": (7 * i) % 5 + 1 for i in range(40)}
    for size in (1, 2, 3, 7):
        owner = shares(loads, size)
        sums = [sum(loads[k] for k in owner if owner[k] == rank) for rank in range(size)]
        assert owner.keys() == loads.keys() and max(sums) - min(sums) <= max(loads.values())
    assert shares({}, 2) == {}


def test_alone_nothing_is_sent_and_errors_are_what_they_were(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"): monkeypatch.delenv(name, raising=False)
    ranks = join()
    assert (ranks.rank, ranks.size, ranks.leads, ranks.tag) == (0, 1, True, ())
    error = KeyError("x")

    def fail(): raise error

    for call in (ranks.each, ranks.together, ranks.lead):
        with pytest.raises(KeyError) as e: call(fail)
        assert e.value is error
    ranks.agree("x", 1), ranks.add([torch.ones(1)]), ranks.spread([torch.ones(1)])


def test_processes_that_cannot_meet_say_so(monkeypatch):
    "Rank 1 of 2, and nobody else comes."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items(): monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="the 2 processes of this run cannot meet at 127.0.0.1") as e: join(minutes=0.02)
    assert "\n" not in str(e.value)
