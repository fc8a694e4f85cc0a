"The benchmarks of speed: fair workloads, the same work for every candidate, what they write, and how their commands end."
import json
import math
import random
import signal

import jobs
import pytest
import torch

from extra_nb.bench import speed
from extra_nb.bench.child import Ended, in_child
from extra_nb.cli import bench_main
from extra_nb.embedders import load_embedder
from extra_nb.policy import tiny_policy
from extra_nb.sampler import context_of
from extra_nb.bench.speed import (
    WORKLOADS,
    MemoryBench,
    SamplerBench,
    ScalingBench,
    StepBench,
    Workload,
    alternate,
    axis_values,
    candidates,
    compare,
    decode_bytes,
    exponent,
    follow_line,
    head_peak,
    in_turns,
    lengths_that_fit,
    our_step,
    our_trainer,
    plain_loss,
    problems_for,
    rate_table,
    seconds_table,
    trl_steps,
    varied,
    workload,
)
from extra_nb.types import InputError, Problem, Request


def quiet(line): pass


@pytest.fixture(scope="module")
def policy():
    policy = tiny_policy(context=1024)
    policy.tokenizer.pad_token_id = policy.pad_id
    return policy


@pytest.fixture(scope="module")
def works(policy): return {name: workload(policy, name) for name in WORKLOADS}


# ---- comparing

def test_medians_decide_and_spread_is_that_of_single_rounds():
    rounds = [{"ours a": 8, "ours b": 1, "x": 4, "y": 1}, {"ours a": 2, "ours b": 9, "x": 2, "y": 30}, {"ours a": 6, "ours b": 2, "x": 3, "y": 2}]
    rate, seconds, size = (compare(rounds, kind) for kind in ("rate", "seconds", "bytes"))
    assert (rate["setting"], rate["ours"], rate["peers"], rate["ratio"], rate["ratio_range"]) == ("ours a", 6, {"x": 3, "y": 2}, 2, [1, 2])
    assert (seconds["setting"], seconds["ours"], seconds["ratio"], seconds["ratio_range"]) == ("ours b", 2, 1, [1, 30 / 9])
    assert (size["setting"], size["ratio"], size["ratio_range"]) == ("ours b", 1, [9 / 30, 1])


@pytest.mark.parametrize("kind", ["rate", "seconds", "bytes"])
def test_a_faster_peer_is_never_hidden(kind):
    rng = random.Random(kind)
    for _ in range(50):
        rounds = [{n: rng.uniform(1, 9) for n in ("ours a", "ours b", "x", "y", "z")} for _ in range(rng.randint(1, 5))]
        found = compare(rounds, kind)
        assert found["ours"] / found["ratio"] == pytest.approx(max(found["peers"].values())) if kind == "rate" else True
        if kind == "seconds": assert found["ours"] * found["ratio"] == pytest.approx(min(found["peers"].values()))
        if kind == "bytes": assert found["ours"] / found["ratio"] == pytest.approx(min(found["peers"].values()))


def test_ours_is_taken_from_the_rounds_of_the_best_peer():
    found = compare([{"ours": 1, "x": 3}, {"ours": 20, "y": 9}, {"ours": 3, "x": 5}], "seconds")
    assert found["ours"] == 2 and found["peers"] == {"x": 4, "y": 9} and found["ratio"] == 2 and found["ratio_range"] == [5 / 3, 3]
    alone = compare([{"ours": 1}], "rate")
    assert alone["peers"] == {} and alone["ratio"] is None and alone["ratio_range"] is None


def test_of_ours_that_ended_nothing_counts_and_of_a_peer_all_that_it_finished():
    rounds = [{"ours a": 2, "ours b": 9, "x": 4, "y": 6}, {"ours a": 2, "ours b": 9, "y": 6}]
    found = compare(rounds, "seconds", ended=["x", "ours a"])
    assert (found["setting"], found["ours"], found["peers"], found["ratio"], found["ratio_range"]) == ("ours b", 9, {"x": 4, "y": 6}, 4 / 9, [4 / 9] * 2)
    for rounds, ended in ([{"ours a": 2, "x": 4}], ["ours a"]), ([{"x": 4}], ["ours a"]), ([], ["ours a", "x"]):
        found = compare(rounds, "seconds", ended)
        assert found["ours"] is found["setting"] is found["ratio"] is found["ratio_range"] is None and found["peers"] == ({"x": 4} if rounds else {})


# ---- workloads

@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_is_what_its_name_says(name, works):
    own, work = works[name]
    assert len(work.requests) == work.group_size == 8 and len(work.lengths) == 64 and len({r.key for r in work.requests}) == 8
    assert work.max_new_tokens == max(work.lengths) and work.tokens == sum(work.lengths)
    prompts = [own.encode(r.problem) for r in work.requests]
    shared = next(i for i, ids in enumerate(zip(*prompts)) if len(set(ids)) > 1)
    assert all(70 <= len(p) - 300 * (name == "b") <= 190 for p in prompts)
    assert shared >= 300 if name == "b" else shared < 20
    assert [len(r.prefix_ids) for r in work.requests] == ([100, 114, 128, 142, 157, 171, 185, 200] if name == "d" else [0] * 8)
    if name != "c": assert set(work.lengths) == {64}


def test_lengths_of_c_differ_widely_and_do_not_depend_on_the_model(works, policy):
    lengths = works["c"][1].lengths
    assert min(lengths) <= 10 and max(lengths) == 256 and len(set(lengths)) > 30
    # geometric with mean near 89 before the cut: the mean of 64 of them has a standard deviation below 11
    assert abs(sum(lengths) / 64 - 89 * (1 - math.exp(-256 / 89))) < 5 * 11
    other = tiny_policy(seed=7, layers=1, context=1024)
    assert workload(other, "c")[1].lengths == lengths


def test_an_unknown_workload_is_refused(policy):
    with pytest.raises(InputError, match="known: a, b, c, d"): workload(policy, "ab")


# ---- candidates

@pytest.mark.parametrize("name", ["a", "c"])
def test_all_candidates_make_the_same_tokens(name, works):
    own, full = works[name]
    if own.eos_ids == speed.NO_END: work = Workload(full.requests[:2], 8, 6, (6,) * 16)
    else:  # four responses each to the two problems that are done first
        lengths = [full.lengths[8 * i : 8 * i + 4] for i in range(8)]
        short = sorted(sorted(range(8), key=lambda i: max(lengths[i]))[:2])
        work = Workload(tuple(full.requests[i] for i in short), 4, full.max_new_tokens, sum((lengths[i] for i in short), ()))
        assert len(set(work.lengths)) > 4
    made = {n: run(None) for n, run in candidates(own, work).items()}
    assert set(made) == {f"{n} {k}" for n in ("ours", "generate", "generate_batch") for k in ("fp32", "bf16")}
    assert {lengths for _, lengths in made.values()} == {work.lengths} and all(seconds > 0 for seconds, _ in made.values())


def test_a_limit_ends_every_candidate_early(works):
    own, full = works["c"]
    work = Workload(full.requests[:1], 8, 256, full.lengths[:8])
    assert {run(4)[1] for run in candidates(own, work).values()} == {tuple(min(4, n) for n in work.lengths)}


def counted(name, log, lengths, seconds=1.0, error=None):
    def run(limit):
        log.append((name, limit))
        if error: raise error
        return seconds, lengths
    return run


def test_candidates_take_turns_after_a_warm_up():
    log, work, cpu = [], Workload((), 1, 3, (3, 2)), torch.device("cpu")
    some = {n: counted(n, log, (3, 2), s) for n, s in (("ours", 1.0), ("theirs", 2.0))} | {"bad": counted("bad", log, (), error=OSError("no\nlong"))}
    found = alternate(some, work, 2, cpu, quiet)
    assert found == {"rounds": [{"ours": 1.0, "theirs": 2.0}] * 2, "left_out": {"bad": "OSError: no"}, "peak_bytes": None, "decoding": {}}
    assert [n for n, _ in log] == ["ours", "theirs", "bad", "ours", "theirs", "ours", "theirs"] and [limit for _, limit in log[3:]] == [None] * 4


def test_who_cannot_win_runs_once():
    some = {n: counted(n, [], (3, 2), s) for n, s in (("ours fp32", 50.0), ("ours bf16", 80.0), ("fast", 2.0), ("near", 3.0), ("slow", 3.1))}
    found = alternate(some, Workload((), 1, 3, (3, 2)), 3, torch.device("cpu"), quiet)
    assert [list(r) for r in found["rounds"]] == [list(some)] + [["ours fp32", "fast", "near"]] * 2  # the faster one of ours stays, however slow


def test_ours_may_not_fail_and_nobody_may_make_fewer_tokens():
    work, cpu = Workload((), 1, 3, (3, 2)), torch.device("cpu")
    with pytest.raises(ValueError): alternate({"ours fp32": counted("ours", [], (), error=ValueError("x"))}, work, 1, cpu, quiet)
    with pytest.raises(AssertionError, match="theirs made 4 tokens where 5"): alternate({"theirs": counted("theirs", [], (2, 2))}, work, 1, cpu, quiet)


def test_bytes_of_decoding_are_those_counted_step_by_step(policy, works):
    own, full = works["d"]
    work = Workload(full.requests[:2], 2, 5, (5, 1, 4, 2))
    rows = [len(context_of(own, r)) for r in work.requests for _ in range(2)]
    numbers = 0
    for t in range(5):
        numbers += sum(p.numel() for p in policy.model.parameters())
        numbers += sum(2 * 2 * 2 * 16 * (row + t) for row, n in zip(rows, work.lengths) if t < n)  # keys and values, layers, heads, width
    assert decode_bytes(own, work, 2) == 2 * numbers


# ---- the commands

def result(tmp_path, *argv):
    path = tmp_path / "new" / "r.json"
    assert bench_main([*argv, "--model", "tiny", "--device", "cpu", "--json", str(path), "--figure", "r.png"]) == 0
    assert (path.parent / "r.png").read_bytes()[:4] == b"\x89PNG"
    found = json.loads(path.read_text())
    assert found["bench"] == argv[0] and found["cores"] >= 1 and found["threads"] >= 1 and found["versions"]["transformers"] and found["processor"]
    assert found["settings"]["model"] == "tiny" and found["gpu"] is None or torch.cuda.is_available()
    return found


def test_sampler_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "NEW", 6)
    monkeypatch.setattr(speed, "GROUP", 2)
    found = result(tmp_path, "sampler", "--workload", "d", "--repeats", "2")
    shown = capsys.readouterr().out
    assert list(found["workloads"]) == ["d"] and found["bandwidth"] > 0
    for record in found["workloads"].values():
        assert record["tokens"] == 16 * 6 and len(record["rounds"]) == 2 and 0 < record["bandwidth_share"]
        assert set(record["peers"]) | set(record["left_out"]) == {f"{n} {k}" for n in ("generate", "generate_batch") for k in ("fp32", "bf16")}
        assert record["ratio"] == pytest.approx(record["ours"] / max(record["peers"].values())) and len(record["ratio_range"]) == 2
        assert record["ratio_range"][0] <= record["ratio_range"][1] and record["setting"] in ("ours fp32", "ours bf16")
    assert "generate fp32" in shown and "round 2/2" in shown and "r.json" in shown and "r.png" in shown


def test_step_command_and_memory_of_steps(tmp_path, capfd, monkeypatch):
    pytest.importorskip("trl", reason="needs trl, a development requirement, to compare with; it is not installed")
    monkeypatch.setattr(speed, "TRL_SETTINGS", {"TRL bf16 weights": {}})  # for time; what the name means the child knows by itself
    found = result(tmp_path, "step", "--repeats", "1", "--problems", "2", "--group-size", "4", "--new-tokens", "6")
    assert found["tokens"] == 2 * 4 * 6 and set(found["peers"]) == {"TRL bf16 weights"} and len(found["rounds"]) == 1 and found["ended"] == {}
    assert found["ratio"] == pytest.approx(min(found["peers"].values()) / found["ours"])
    assert set(found["parts"]) == {found["setting"], "TRL bf16 weights"} and all(p["sampling"] > 0 and p["update"] > 0 for p in found["parts"].values())
    assert all(p["peak_bytes"] > 0 for p in found["parts"].values())
    shown = capfd.readouterr()
    assert "ratio" in shown.out and "train_runtime" not in shown.out and "Warning" not in shown.err


def test_memory_command(tmp_path, capsys):
    found = result(tmp_path, "memory", "--width", "64", "--vocabulary", "10000", "--length", "256")
    assert 0 < found["ours"] < found["peers"]["unchunked"] and found["ratio"] == pytest.approx(found["ours"] / found["peers"]["unchunked"])
    assert found["peers"]["unchunked"] > 2 * 4 * 8 * 256 * 10_000 and not found["extrapolated"] and "unchunked" in capsys.readouterr().out


def test_scaling_command(tmp_path, capsys):
    found = result(tmp_path, "scaling", "--repeats", "1", "--embedder", "ngram", "--problems", "2,3", "--groups", "2", "--lengths", "6,12,24")
    assert {axis: [(p["value"], p["tokens"]) for p in a["points"]] for axis, a in found["axes"].items()} == {
        "problems": [(2, 48), (3, 72)], "groups": [(2, 48)], "lengths": [(6, 24), (12, 48), (24, 96)]}
    assert found["axes"]["groups"]["exponent"] is None and found["axes"]["lengths"]["exponent"] is not None
    for p in (p for a in found["axes"].values() for p in a["points"]):
        assert sum(p["shares"].values()) == pytest.approx(1) and min(p["shares"].values()) >= 0 and p["archive_bytes"]["novelty"] > 0
        assert p["overhead"] == pytest.approx(p["shares"]["mechanisms"] + p["shares"]["bookkeeping"])
        assert p["tokens"] == p["problems"] * p["groups"] * p["lengths"]
    shown = capsys.readouterr().out
    assert "to the power of" in shown and "of a step of 2 problems x 2 responses x 24 tokens" in shown and "MB, at most" in shown


@pytest.mark.parametrize("argv, said", [
    (["sampler", "--workload", "a,e"], "unknown workload 'e'"), (["sampler", "--workload", ""], "unknown workload ''"),
    (["sampler", "--repeats", "0"], "repeats=0: at least 1"), (["sampler", "--device", "cpuu"], "did you mean 'cpu'"),
    (["sampler", "--figure", "x.jpg"], "figure='x.jpg'"), (["sampler", "--workloads", "a"], "did you mean '--workload'"),
    (["sampler", "--json", "{folder}"], "it is a folder"), (["step", "--group-size", "3"], "group_size=3"), (["step", "--problems", "0"], "problems=0"),
    (["step", "--new-tokens", "0"], "new_tokens=0"), (["memory", "--vocabulary", "9"], "vocabulary=9: at least 100"), (["memory", "--rows", "0"], "rows=0"),
    (["scaling", "--groups", "1,2"], "each must be at least 2"), (["scaling", "--problems", "1"], "each must be at least 2"), (["scaling", "--lengths", "8,x"], "whole numbers"), (["sampler", "extra"], "'extra'"),
    (["scaling", "--model", "tiny", "--embedder", "ngrams"], "did you mean 'ngram'"), (["speed"], "unknown benchmark 'speed'"),
])
def test_bad_options_take_one_line_and_status_2(argv, said, tmp_path, capsys):
    assert bench_main([a.replace("{folder}", str(tmp_path)) for a in argv]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said(capsys):
    assert bench_main(["memory", "--device", "cuda"]) == 2
    assert "torch sees no GPU" in capsys.readouterr().err


@pytest.mark.parametrize("bench", ["sampler", "step", "memory", "scaling"])
def test_help_explains_every_option(bench, capsys):
    with pytest.raises(SystemExit) as e: bench_main([bench, "--help"])
    assert e.value.code == 0
    lines = capsys.readouterr().out.split("options:")[1]
    config = {"sampler": SamplerBench, "step": StepBench, "memory": MemoryBench, "scaling": ScalingBench}[bench]
    for name in config.__dataclass_fields__: assert f"--{name.replace('_', '-')}" in lines
    assert "Rounds of measurements" in lines  # an inherited field


# ---- candidates that die

OOM = "killed by SIGKILL; probably out of memory"


def fated(monkeypatch, **fates):
    "Turns with fates, in real processes: of a step those of ours, weights, autocast and fp32, of a head those of head and unchunked."
    names = dict(ours="ours fp32", weights="TRL bf16 weights", autocast="TRL bf16 autocast", fp32="TRL fp32", head="ours")
    monkeypatch.setenv("FATES", json.dumps({names.get(name, name): fate for name, fate in fates.items()} | {"ours bf16": 5}))
    monkeypatch.setattr(speed, "step_turn", jobs.step_turn)
    monkeypatch.setattr(speed, "_head_peak", jobs.head_peak)
    monkeypatch.setattr(speed, "faster_dtype", lambda device: "fp32")
    monkeypatch.setattr(speed, "find_spec", lambda name: name == "trl")
    monkeypatch.setattr(speed, "version", lambda name: "0")


def test_peers_that_die_are_named_and_the_others_compared(tmp_path, capsys, monkeypatch):
    fated(monkeypatch, ours=2, weights="raises", autocast=6, fp32="dies")
    found = result(tmp_path, "step", "--repeats", "2")
    assert found["ended"] == {"TRL bf16 weights": "RuntimeError: DefaultCPUAllocator: can't allocate memory: buy more", "TRL fp32": OOM}
    assert (found["ours"], found["peers"], found["ratio"], found["tokens"]) == (2, {"TRL bf16 autocast": 6}, 3, 64)
    assert found["rounds"] == [{"ours fp32": 2, "TRL bf16 autocast": 6}] * 2
    assert found["parts"]["TRL bf16 autocast"] == {"sampling": 1.5, "update": 3, "peak_bytes": 6 * 10**9}
    shown = capsys.readouterr().out
    assert f"TRL fp32: {OOM}; it is left out" in shown and f"\nTRL fp32: {OOM}\nratio 3.00" in shown


@pytest.mark.parametrize("fates, said", [
    (dict(ours="dies", weights=4, autocast=6, fp32=5), "no ratio: ours has not finished"),
    (dict(ours=4, weights="dies", autocast="dies", fp32="raises"), "no ratio: no setting of TRL has finished"),
    (dict(ours="raises", weights="dies", autocast="dies", fp32="dies"), "no ratio: ours has not finished"),
])
def test_without_ours_or_any_peer_there_is_no_ratio(fates, said, tmp_path, capsys, monkeypatch):
    fated(monkeypatch, **fates)
    found = result(tmp_path, "step", "--repeats", "1")
    alive = [fate for fate in fates.values() if not isinstance(fate, str)]
    assert found["ratio"] is found["ratio_range"] is None and len(found["ended"]) == 4 - len(alive) and said in capsys.readouterr().out
    assert found["ours"] == (None if isinstance(fates["ours"], str) else 4) and sorted([*found["peers"].values(), *filter(None, [found["ours"]])]) == sorted(alive)


def test_memory_names_those_that_die(tmp_path, capsys, monkeypatch):
    fated(monkeypatch, head=1, unchunked="dies", ours="dies", weights=4, autocast=10, fp32="dies")
    monkeypatch.setattr(speed, "free_memory", lambda device: 10**12)
    found = result(tmp_path, "memory", "--step")
    assert found["ended"] == {"unchunked": OOM} and found["ours"] == 10**9 and found["peers"] == {} and found["ratio"] is None
    step = found["step"]
    assert step["ended"] == {"ours fp32": OOM, "TRL fp32": OOM} and step["setting"] == "ours bf16" and step["ratio"] == 5 / 4
    assert capsys.readouterr().out.count(f"TRL fp32: {OOM}") == 2


def test_who_dies_later_keeps_what_it_finished():
    counts = {}

    def turn(name, first):
        counts[name] = counts.get(name, 0) + 1
        if (name, counts[name]) in (("x", 2), ("ours", 3)): raise Ended("gone")
        return 1.0

    said = []
    rounds, ended = in_turns(["ours", "x"], turn, 4, said.append)
    assert rounds == [{"ours": 1, "x": 1}, {"ours": 1}] and ended == {"x": "gone", "ours": "gone"} and counts == {"ours": 3, "x": 2}
    assert [line for line in said if "round" in line] == ["  round 1/4: ours, x", "  round 2/4: ours, x", "  round 3/4: ours"]


def test_who_is_far_behind_is_measured_by_its_first_step(monkeypatch):
    enough = []

    def child(job, heard, name, **arguments):
        enough.append((name, arguments["enough"]))
        s = {"ours fp32": 50.0, "TRL bf16 weights": 4.0, "TRL bf16 autocast": 5.0, "TRL fp32": 7.0}[name]
        return {"seconds": s, "sampling": 1, "update": 1, "tokens": 9, "bytes": None}

    fated(monkeypatch, ours=0)
    monkeypatch.setattr(speed, "in_child", child)
    found = speed.bench_step(StepBench(model="tiny", device="cpu", repeats=2), quiet)
    assert enough == [("ours fp32", math.inf), ("TRL bf16 weights", math.inf), ("TRL bf16 autocast", 6 + speed.ONCE), ("TRL fp32", 6 + speed.ONCE),
                      ("ours fp32", math.inf), ("TRL bf16 weights", math.inf), ("TRL bf16 autocast", math.inf)]
    assert found["ratio"] == 4 / 50 and found["parts"]["TRL fp32"]["peak_bytes"] is None


def test_ctrl_c_ends_the_bench_and_its_child(monkeypatch):
    from test_child import gone

    fated(monkeypatch, ours="stays")
    pids = []

    def hear(line):
        if not all(word.isdigit() for word in line.split()): return
        pids.extend(map(int, line.split()))
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt): speed.bench_step(StepBench(model="tiny", device="cpu"), hear)
    finally: signal.signal(signal.SIGINT, before)
    assert len(pids) == 2 and gone(pids)


# ---- steps

def test_without_trl_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(speed, "find_spec", lambda name: None)
    for argv in (["step", "--model", "tiny"], ["memory", "--step"]):
        assert bench_main(argv) == 2
        assert "needs the package trl" in capsys.readouterr().err


def test_every_row_of_our_step_learns(policy):
    config = StepBench(model="tiny", problems=2, group_size=4, new_tokens=5)
    trainer = our_trainer(varied(policy), "fp32", config)
    before = [p.detach().clone() for p in trainer.parameters]
    step = our_step(trainer)
    metrics = trainer.history[0]
    assert step["tokens"] == 40 and metrics["loss/skipped_rows"] == 0 and metrics["reward/mean"] == 0.5 and metrics["groups/mixed"] == 1
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.parameters))
    with torch.no_grad():
        for p, b in zip(trainer.parameters, before): p.copy_(b)  # the policy is shared with other tests


def test_trl_samples_from_the_full_distribution_without_ends(policy, monkeypatch):
    pytest.importorskip("trl", reason="needs trl, a development requirement, to compare with; it is not installed")
    seen = {}
    original = speed.peer_model

    def watched(*args):
        model = original(*args)
        generate = model.generate

        def spy(*a, generation_config, **kw):
            seen["config"] = generation_config
            seen["prompts"] = kw["attention_mask"].sum(1).tolist()
            return generate(*a, generation_config=generation_config, **kw)

        monkeypatch.setattr(model, "generate", spy)
        return model

    monkeypatch.setattr(speed, "peer_model", watched)
    turns = []
    steps = trl_steps(policy, StepBench(problems=2, group_size=2, new_tokens=5), 2, between=lambda steps: turns.append(len(steps)))
    assert [s["tokens"] for s in steps] == [20, 20] and turns == [1, 2]
    c = seen["config"]
    assert (c.do_sample, c.temperature, c.top_p, c.top_k, c.eos_token_id, c.max_new_tokens) == (True, 1.0, 1.0, 0, None, 5)
    assert sorted(seen["prompts"]) == sorted(len(policy.encode(p)) for p in problems_for(policy, 2) for _ in range(2))
    assert all(0 < s["sampling"] < s["seconds"] and s["update"] > 0 for s in steps)


# ---- memory

def test_the_plain_loss_is_what_torch_says():
    gen = torch.Generator().manual_seed(0)
    hidden, head, tokens = torch.randn(7, 5, generator=gen), torch.randn(11, 5, generator=gen), torch.randint(11, (7,), generator=gen)
    loss, entropies = plain_loss(hidden, head, tokens)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(hidden @ head.T, tokens))
    torch.testing.assert_close(entropies, torch.distributions.Categorical(logits=hidden @ head.T).entropy())


def test_peaks_grow_with_the_logits_only_where_they_are_held_whole():
    sizes = dict(width=8, vocabulary=10_000, rows=4)  # a chunk of logits is above 32 MiB: smaller blocks malloc keeps for itself
    short, long = (head_peak("unchunked", length=n, **sizes) for n in (256, 1024))
    assert 3 < long / short < 5 and long > 2 * 4 * 4096 * 10_000
    assert head_peak("ours", length=1024, **sizes) < 0.7 * long  # a chunk of logits, and what a first use of the library loads


def test_what_does_not_fit_is_extrapolated(monkeypatch):
    asked = []

    def child(job, heard, way, length, **sizes):
        asked.append((way, length))
        return 100 + 7 * length if way == "unchunked" else 500

    monkeypatch.setattr(speed, "in_child", child)
    monkeypatch.setattr(speed, "free_memory", lambda device: 10**9)
    said = []
    found = speed.bench_memory(MemoryBench(vocabulary=100_000, device="cpu"), say=said.append)
    assert asked == [("ours", 1024), ("unchunked", 8), ("unchunked", 16)] and found["unchunked_lengths"] == [8, 16]
    assert found["extrapolated"] and found["peers"]["unchunked"] == 100 + 7 * 1024 and "does not fit" in "\n".join(said)


@pytest.mark.parametrize("free", [10**6, 10**8, 10**9, 10**10, 10**12])
def test_measured_lengths_fit(free):
    found = lengths_that_fit(8, 1024, 50_000, free)
    assert found == [1024] if 5 * 4 * 8 * 1024 * 50_000 <= free // 2 else len(found) == 2 and 1 <= found[0] < found[1] < 1024
    assert found[-1] <= 2 or 5 * 4 * 8 * found[-1] * 50_000 <= free // 2


# ---- scaling and tables

def test_memories_reach_their_bound_and_stop_there(policy):
    trainer = speed.scaling_trainer(varied(policy), "fp32", load_embedder("lines"), 2, 2, 8)
    trainer.step()
    novelty, regeneration = trainer.mechanisms
    L, width = policy.context_length, len(regeneration.embedder(["x"])[0])
    for i in range(300):
        for p in trainer.problems:
            novelty.source.memory.update(p.id, torch.ones(3, width))
            prefix = torch.randint(9, (L,)), torch.rand(L)
            regeneration._archive([(p.id, *prefix)])
            regeneration.queue.append((i, Request(Problem(f"{p.id}{i}", "", ""), tuple(prefix[0].tolist()), tuple(prefix[1].tolist()), "regeneration")))
    held = {m.name: sum(t.nbytes for t in speed.pack(m.state_dict())[1].values()) for m in trainer.mechanisms}
    assert held == speed.most_bytes(trainer)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.3])
def test_the_exponent_is_found(power):
    assert exponent([(n, 3 * n**power) for n in (10, 25, 70, 400)]) == pytest.approx(power)


def test_axes_are_sorted_and_checked():
    assert axis_values(ScalingBench(problems="8,2,2,4", groups=" 4, 2", lengths="7")) == {"problems": [2, 4, 8], "groups": [2, 4], "lengths": [7]}
    assert follow_line([(2, 3), (4, 4)], 10) == 7


def test_tables_name_what_is_missing():
    found = {"a": compare([{"ours fp32": 9, "x": 3}], "rate") | {"bandwidth_share": 0.5}, "b": compare([{"ours bf16": 9}], "rate") | {"bandwidth_share": 0.25}}
    lines = rate_table(found).splitlines()
    assert [line.split() for line in lines] == [["ours", "x", "ratio", "range", "bandwidth"], ["a", "9", "(fp32)", "3", "3.00", "3.00-3.00", "50%"],
                                                ["b", "9", "(bf16)", "-", "-", "-", "25%"]]
    assert len(set(map(len, lines))) == 1
    found = {**compare([{"ours": 2, "x": 4}], "seconds"), "ended": {}}
    table = seconds_table(found, {"ours": {"sampling": 1, "update": 1, "peak_bytes": None}, "x": {"sampling": 2, "update": 2, "peak_bytes": 2.5e9}})
    assert "ratio 2.00 (2.00-2.00): ours" in table and [line.split()[-1] for line in table.splitlines()[1:3]] == ["-", "GB"]


def test_peaks_do_not_depend_on_what_a_process_did_before():
    peaks = in_child(jobs.peaks_after_much, megabytes=100)
    assert all(95 * 2**20 < peak < 110 * 2**20 for peak in peaks), peaks


def test_head_peak_counts_the_gradient_of_the_head():
    # whatever the way, the head's gradient is there at the end: it can be no less
    assert head_peak("ours", 256, 20_000, 1, 64) >= 4 * 256 * 20_000


def test_requests_fit_in_every_prompt_template(policy):
    framed = varied(policy)
    framed.instruction = "A question from a shop:\n{problem}\nThink, then answer.\n"
    assert all(70 <= len(framed.encode(p)) <= 150 for p in problems_for(framed, 3)) and Request(problems_for(framed, 1)[0]).key == "speed/0"
