"The commands as a person runs them: one tiny run looked at from all sides, and every mistake answered in one line."
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields

import pytest

from extra_nb import evaluate
from extra_nb.cli import COUNTED, ELSEWHERE, NEEDLESS, PRESETS, EvalConfig, RunConfig, build_mechanisms, eval_main, preset, progress_lines, report_main
from extra_nb.cli import train_main, train_settings
from extra_nb.commands.options import GROUPS
from extra_nb.commands.parameters import MECHANISMS, OLD_NAMES, PLACES, parameter, parameters
from extra_nb.commands.parameters import SHORT as SHORT_NAMES
from extra_nb.models.loading import known_context
from extra_nb.policy import tiny_policy
from extra_nb.tasks import BENCHMARKS
from extra_nb.types import InputError

COLUMNS = {"step", "reward/mean", "policy/entropy", "groups/all_correct", "groups/all_wrong", "regen/groups", "tokens/generated", "time/step"}
SHORT = ["--preset", "tiny", "--steps", "2", "--warm-start-steps", "10", "--heldout", "4", "--train-problems", "8", "--verifier-workers", "1", "--no-report"]


def command(*argv, cwd=None, module="train_main", **kwargs):
    "Run a command in a process of its own, as the console script does."
    code = f"import sys; from extra_nb.cli import {module} as main; sys.exit(main())"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, cwd=cwd, env=env, timeout=300, **kwargs)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "The tiny preset, started from an empty folder."
    folder = tmp_path_factory.mktemp("run")
    done = command("--preset", "tiny", "--out", "here", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "here", done


def test_the_tiny_run_leaves_everything_behind(run):
    out, done = run
    for name in ("config.json", "eval.json", "metrics.jsonl", "report.html", "log.txt", "model/model.safetensors", "evals/before.jsonl", "evals/after.jsonl"):
        assert (out / name).stat().st_size > 0, name
    assert list((out / "figures").glob("*.png")) and list((out / "rollouts").glob("step-*.jsonl"))
    assert done.stderr == ""


def test_every_step_is_a_line_with_the_promised_columns(run):
    lines = [json.loads(line) for line in (run[0] / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in lines] == list(range(1, len(lines) + 1))
    for m in lines: assert m.keys() >= COLUMNS
    # a mean of nothing is left out
    assert any("novelty/mean" in m for m in lines) and all("novelty/mean" in m for m in lines if m["novelty/paid"])
    assert sum(m["regen/groups"] for m in lines) > 0, "regeneration must be seen at work"
    assert sum(m["novelty/ready"] for m in lines) > 0, "some memory must be full enough to pay"
    assert lines[-1]["tokens/total"] == sum(m["tokens/generated"] for m in lines)


def test_evaluation_has_both_ends_with_intervals(run):
    found = json.loads((run[0] / "eval.json").read_text())
    for when in ("before", "after"):
        for k in ("pass@1", "pass@16"):
            low, high = found[when][f"{k}_ci"]
            assert 0 <= low <= found[when][k] <= high <= 1


def test_the_model_is_one_that_transformers_loads(run):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(run[0] / "model"), AutoTokenizer.from_pretrained(run[0] / "model")
    out = model.generate(**tokenizer("3+5\n", return_tensors="pt"), max_new_tokens=5, do_sample=False)
    assert out.shape[1] > 4


def test_the_last_lines_are_a_short_table_with_paths(run):
    lines = run[1].stdout.strip().splitlines()[-5:]
    assert [line.split()[0] for line in lines] == ["before", "after", "model", "report", "metrics"]


def test_a_saved_run_can_be_evaluated_and_reported(run, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    rows = [{"id": i, "problem": f"{i}+{i}", "answer": str(2 * i)} for i in range(1, 4)] + [{"id": 9, "problem": "9+9", "answer": ""}]
    (data / "amc23.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (data / "aime24.jsonl").write_text("\n".join(map(json.dumps, rows[:2])) + "\n")
    argv = ["--model", str(run[0] / "model"), "--benchmarks", "amc23,aime24", "--data-dir", str(data), "--samples", "4", "--k", "1,4",
            "--max-new-tokens", "16", "--instruction", "{problem}\n", "--out", str(tmp_path / "eval")]
    done = command(*argv, module="eval_main")
    assert done.returncode == 0, done.stderr
    assert "cannot be used" in done.stdout  # the row without an answer is named, not dropped in silence
    found = json.loads((tmp_path / "eval" / "eval.json").read_text())
    assert {s["name"] for s in found["sets"]} == {"amc23", "aime24"} and "pass@4_ci" in found
    assert found["pass@1"] == pytest.approx(sum(s["pass@1"] for s in found["sets"]) / 2)
    assert sum(1 for _ in open(tmp_path / "eval" / "amc23.jsonl")) == 3
    assert report_main([str(run[0])]) == 0


def test_two_runs_are_compared_in_one_table(run, tmp_path, capsys):
    other = tmp_path / "grpo"
    assert train_main([*SHORT, "--mechanisms", "none", "--out", str(other)]) == 0
    capsys.readouterr()
    assert report_main([str(run[0]), str(other), "--out", str(tmp_path / "both")]) == 0
    table = capsys.readouterr().out
    assert "here" in table and "grpo" in table and "pass@1" in table
    assert any(p.suffix == ".png" for p in (tmp_path / "both").rglob("*"))
    assert "besides their mechanisms these runs differ:\n  steps: 4 in here, 2 in grpo\n" in table and "did not begin" not in table
    assert train_main([*SHORT, "--mechanisms", "none", "--seed", "5", "--out", str(tmp_path / "third")]) == 0
    capsys.readouterr()
    assert report_main([str(other), str(tmp_path / "third"), "--out", str(tmp_path / "both")]) == 0
    assert "besides their mechanisms these runs differ:\n  seed: 0 in grpo, 5 in third\n" in capsys.readouterr().out


@pytest.mark.parametrize("mechanisms", ["none", "novelty", "regeneration", "novelty,regeneration", "replay"])
def test_each_choice_of_mechanisms_trains(mechanisms, tmp_path):
    assert train_main([*SHORT, "--mechanisms", mechanisms, "--out", str(tmp_path / "r"), "--heldout", "0"]) == 0
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert config["mechanisms"] == mechanisms and config["versions"]["torch"]


@pytest.mark.parametrize("options", [
    ["--adapter", "lora"], ["--preset", "tiny,dapo"], ["--preset", "tiny,dr-grpo"], ["--novelty-kind", "ngram"], ["--novelty-kind", "surprise"],
    ["--novelty-scale", "running", "--placebo"], ["--bonus-before-norm"], ["--regen-select", "random", "--cut-at", "entropy", "--regen-hard", "zero"],
    ["--set", "novelty.kind=ngram", "--set", "regeneration.cut_at=sentence"], ["--set", "novelty.scale=running", "--set", "regeneration.select=random"],
    ["--compute", "bf16", "--gradient-checkpointing"], ["--kl-coef", "0.01", "--kl-kind", "k1"], ["--train", "FILE"],
])
def test_options_reach_what_they_name(options, tmp_path):
    if "FILE" in options:
        rows = [{"question": f"{i}+2", "answer": str(i + 2)} for i in range(1, 9)]
        (tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
        options = ["--train", str(tmp_path / "sums.jsonl"), "--train-problems", "0"]
    argv = [a for a in SHORT if not (options[0] == "--preset" and a in ("--preset", "tiny"))]
    assert train_main([*argv, *options, "--out", str(tmp_path / "r"), "--heldout", "0"]) == 0
    weights = "adapter_model.safetensors" if "lora" in options else "model.safetensors"
    assert (tmp_path / "r" / "model" / weights).exists()


def test_a_run_is_resumed_with_its_own_settings(tmp_path):
    out = str(tmp_path / "r")
    assert train_main([*SHORT, "--out", out, "--checkpoint-every", "1"]) == 0
    before = json.loads((tmp_path / "r" / "eval.json").read_text())["before"]
    assert train_main(["--resume", out, "--steps", "3"]) == 0
    lines = [json.loads(line)["step"] for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    assert lines == [1, 2, 3]
    assert json.loads((tmp_path / "r" / "eval.json").read_text())["before"] == before
    assert json.loads((tmp_path / "r" / "config.json").read_text())["train_problems"] == 8


def test_a_finished_run_is_left_alone_until_more_steps_are_asked_for(tmp_path, capsys, monkeypatch):
    out = tmp_path / "r"
    assert train_main([*SHORT, "--out", str(out), "--eval-samples", "2"]) == 0
    written = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file() and p.name != "log.txt"}
    with monkeypatch.context() as m:
        m.setattr("extra_nb.commands.jobs.build_policy", lambda *args: pytest.fail("a model is built"))
        for steps in ([], ["--steps", "1"]):
            capsys.readouterr()
            assert train_main(["--resume", str(out), *steps]) == 0
            (line,) = capsys.readouterr().out.splitlines()
            assert line.startswith(f"{out} is finished: it has made 2 of {steps[-1] if steps else 2} steps") and "--steps N" in line
    assert written == {p: p.stat().st_mtime_ns for p in written}
    assert train_main(["--resume", str(out), "--steps", "3"]) == 0
    assert sum(1 for _ in open(out / "metrics.jsonl")) == 3
    assert {"pass@1", "pass@2"} <= json.loads((out / "eval.json").read_text())["after"].keys()


@pytest.mark.parametrize("argv", [["--sampler", "vllm"], ["--problems-per-step", "100"], ["--rewards", "nothere.py:f"], ["--track", "nowhere:f"], ["--track", "wandbb"],
                                  ["--model", "no/such-model"], ["--heldout", "100000"], ["--max-new-tokens", "1000000"]])
def test_a_mistake_leaves_no_folder(argv, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "vllm" else found(name, *more))
    assert train_main(["--preset", "tiny", *argv]) == 2
    assert list(tmp_path.rglob("*.*")) == [] and not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize("argv", [["--problems", "nothere.jsonl"], ["--benchmarks", "math500"], ["--problems", "arithmetic", "--model", "no/such-model"]])
def test_a_mistake_in_an_evaluation_leaves_no_folder(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert eval_main(argv) == 2 and not list(tmp_path.glob("runs/*"))


def test_the_usual_k_follows_the_samples(tmp_path, capsys):
    assert eval_main(["--model", "tiny", "--problems", "arithmetic:2", "--limit", "2", "--samples", "4", "--max-new-tokens", "8", "--out", str(tmp_path / "e")]) == 0
    assert "pass@4 " in capsys.readouterr().out
    assert eval_main(["--model", "tiny", "--problems", "arithmetic:2", "--samples", "4", "--k", "16"]) == 2
    assert "k=16: must lie between 1 and the 4 samples" in capsys.readouterr().err


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_the_kl_of_a_resumed_run_is_measured_from_after_the_warm_start(adapter, tmp_path):
    argv = [*SHORT, "--heldout", "0", "--kl-coef", "0.1", "--adapter", adapter]
    assert train_main([*argv, "--steps", "3", "--out", str(tmp_path / "whole")]) == 0
    assert train_main([*argv, "--out", str(tmp_path / "part")]) == 0
    assert train_main(["--resume", str(tmp_path / "part"), "--steps", "3"]) == 0
    logs = [[json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()] for name in ("whole", "part")]
    for whole, part in zip(*logs, strict=True): assert (whole["loss/kl"], whole["loss/policy"]) == (part["loss/kl"], part["loss/policy"])
    assert logs[0][2]["loss/kl"] > 0


def test_a_time_limit_ends_training_early_and_still_evaluates(tmp_path, capsys):
    assert train_main([*SHORT, "--steps", "500", "--total-minutes", "0.05", "--out", str(tmp_path / "r")]) == 0
    steps = sum(1 for _ in open(tmp_path / "r" / "metrics.jsonl"))
    assert 1 <= steps < 500
    assert f"training ends after step {steps} of 500" in capsys.readouterr().out
    assert "after" in json.loads((tmp_path / "r" / "eval.json").read_text())


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_and_the_run_can_be_resumed(tmp_path, signum):
    "128 and the signal's number is what schedulers expect of a process that was asked to end; the checkpoint is there by then."
    code = "import sys; from extra_nb.cli import train_main as main; sys.exit(main())"
    argv = [*SHORT, "--steps", "400", "--heldout", "0", "--out", str(tmp_path / "r"), "--checkpoint-every", "0"]
    with subprocess.Popen([sys.executable, "-c", code, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        for line in process.stdout:
            if line.startswith("step 2/"): break
        process.send_signal(signum)
        rest, errors = process.stdout.read(), process.stderr.read()
    assert "resume with --resume" in rest and errors == "extra-train: interrupted\n" and process.returncode == 128 + signum
    done = [json.loads(line)["step"] for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    assert len(done) < 400
    assert train_main(["--resume", str(tmp_path / "r"), "--steps", str(done[-1] + 1)]) == 0
    again = [json.loads(line)["step"] for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    assert again == list(range(1, done[-1] + 2))


@pytest.mark.parametrize("argv, words", [
    (["--gama", "0.2"], "did you mean '--gamma'"), (["--preset", "quikstart"], "did you mean 'quickstart'"),
    (["--mechanisms", "novelty,regenration"], "did you mean 'regeneration'"), (["--benchmarks", "math50"], "did you mean 'math500'"),
    (["--group-size", "1"], "group_size=1"), (["--eval-k", "1,64"], "k=64"), (["--eval-k", "one"], "'one'"), (["--steps", "few"], "few"),
    (["--steps", "-1"], "steps=-1"), (["--model", "./nowhere"], "nowhere"), (["--train", "missing.jsonl"], "missing.jsonl"),
    (["--train", "arithmetic:9-2"], "(9, 2)"), (["--resume", "nowhere"], "nowhere"), (["--max-new-tokens", "9999"], "does not fit"),
    (["--embedder", "minilmm"], "minilm"), (["--novelty-kind", "embeding"], "embedding"), (["--adapter", "qlorra"], "qlora"), (["stray"], "stray"),
    (["--config", "none.json"], "none.json"), (["--heldout", "10000"], "10006"), (["--temperature", "0"], "temperature=0.0"),
])
def test_a_mistake_takes_one_line_and_status_2(argv, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = [] if "--preset" in argv or "--resume" in argv else ["--preset", "tiny"]
    start = time.perf_counter()
    assert train_main([*base, *argv]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("extra-train: ") and words in error, error
    assert time.perf_counter() - start < 60
    assert not list(tmp_path.rglob("metrics.jsonl"))


@pytest.mark.parametrize("text, words", [
    ('{"problem": "1+1", "answer": "2"}\n{"problem": "1+2"', "line 2"), ("[1, 2]\n", "line 1"), ("", "bad.jsonl"), ('{"a": 1}\n', "no question field"),
])
def test_a_malformed_file_is_named_with_its_line(text, words, tmp_path, capsys):
    (tmp_path / "bad.jsonl").write_text(text)
    assert train_main(["--preset", "tiny", "--train", str(tmp_path / "bad.jsonl"), "--warm-start-steps", "0", "--out", str(tmp_path / "r")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error and "bad.jsonl" in error, error


@pytest.mark.parametrize("argv, words", [
    ([], "nothing to evaluate on"), (["--benchmarks", "amc24"], "did you mean 'amc23'"), (["--benchmarks", "amc23", "--k", "1,64"], "k=64"),
    (["--benchmarks", "amc23", "--data-dir", "no/such/folder"], "no/such/folder"), (["--benchmark", "amc23"], "did you mean '--benchmarks'"),
])
def test_mistakes_in_evaluation(argv, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert eval_main(["--model", "tiny", *argv]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error, error


def test_commands_take_the_next_free_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("eval-1", "eval-3"): (tmp_path / "runs" / name).mkdir(parents=True)
    argv = ["--model", "tiny", "--problems", "arithmetic:2-3", "--limit", "2", "--samples", "1", "--k", "1", "--max-new-tokens", "4"]
    assert [eval_main(argv), eval_main(argv)] == [0, 0]
    assert {p.parent.name for p in (tmp_path / "runs").glob("*/eval.json")} == {"eval-2", "eval-4"}
    assert train_main([*SHORT, "--steps", "0", "--heldout", "0"]) == 0
    assert (tmp_path / "runs" / "tiny-1" / "config.json").exists()


@pytest.mark.parametrize("sizes, said", [([8], 0), ([4, 8], 1), ([1, 2, 3, 4, 5, 6, 7, 8], 7), ([*range(1, 1001)], 9), ([300, 600, 900, 1000], 3)])
def test_long_evaluations_say_how_far_they_are_but_at_most_a_tenth_at_a_time(sizes, said):
    lines = []
    progress = progress_lines(lines.append)
    for done in sizes: progress(done, sizes[-1])
    assert len(lines) == said and all(f"of {sizes[-1]} problems" in line for line in lines)


def test_evaluation_before_and_after_training_keeps_to_max_rows(tmp_path, capsys, monkeypatch):
    rows, real = [], evaluate.sample
    monkeypatch.setattr(evaluate, "sample", lambda policy, requests, n, **kwargs: rows.append(len(requests) * n) or real(policy, requests, n, **kwargs))
    assert train_main([*SHORT, "--max-rows", "32", "--out", str(tmp_path / "r")]) == 0
    assert rows == [32, 32, 32, 32]  # 4 problems x 16 responses, before and after
    assert capsys.readouterr().out.count("2 of 4 problems") == 2


def test_reports_of_what_is_no_run(capsys, tmp_path):
    assert report_main([str(tmp_path)]) == 2
    assert "no run directory" in capsys.readouterr().err


def test_a_directory_that_holds_a_run_is_not_overwritten(run, capsys):
    assert train_main(["--preset", "tiny", "--out", str(run[0])]) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_config_file_sets_what_the_command_line_does_not(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"steps": 7, "gamma": 1, "tau": 0.5}))
    config, _ = train_settings(["--preset", "tiny", "--config", str(tmp_path / "c.json"), "--tau", "0.3"])
    assert (config.steps, config.gamma, config.tau, config.model) == (7, 1.0, 0.3, "tiny")
    for bad in ({"stepz": 7}, {"steps": "seven"}, {"steps": True}, {"steps": 1.5}, [1]):
        (tmp_path / "c.json").write_text(json.dumps(bad))
        with pytest.raises(InputError): train_settings(["--preset", "tiny", "--config", str(tmp_path / "c.json")])


@pytest.mark.parametrize("name", [*PRESETS, "paper,grpo", "tiny,dapo"])
def test_presets_are_complete_settings(name):
    assert isinstance(RunConfig(**preset(name)), RunConfig)


@pytest.mark.parametrize("names, words", [("grpo,dapo", "grpo and dapo are both a method"), ("tiny,paper", "tiny and paper are both a scale"), ("dapo,tiny,dr-grpo", "dapo and dr-grpo"),
                                          ("tiny,tiny", "tiny and tiny")])
def test_presets_of_one_kind_do_not_combine(names, words):
    with pytest.raises(InputError, match=words): preset(names)


@pytest.mark.parametrize("argv, words", [(["--max-new-tokens", "1000000"], "max_new_tokens=1000000 does not fit"), (["--eval-max-new-tokens", "256"], "eval_max_new_tokens=256 does not fit"),
                                         (["--max-new-tokens", "8192", "--model", "smollm2-135m"], "8192 tokens"), (["--sampler", "vllm"], "needs the package vllm")])
def test_what_cannot_be_is_refused_before_a_model_is_loaded(argv, words, tmp_path, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "vllm" else found(name, *more))
    monkeypatch.setattr("extra_nb.commands.jobs.build_policy", lambda *args: pytest.fail("a model is built"))
    assert train_main(["--preset", "tiny", "--out", str(tmp_path / "r"), *argv]) == 2
    assert words in capsys.readouterr().err


def test_the_context_of_a_folder_is_known_without_loading(tmp_path):
    for settings, length in (({"max_position_embeddings": 64}, 64), ({"max_position_embeddings": 64, "rope_parameters": {"rope_type": "default"}}, 64),
                             ({"max_position_embeddings": 64, "rope_scaling": {"type": "yarn"}}, None), ({}, None), ([], None)):
        (tmp_path / "config.json").write_text(json.dumps(settings))
        assert known_context(str(tmp_path)) == length
    assert known_context("some/hub-name") is None and known_context("tiny") == tiny_policy().context_length


def test_no_step_leaves_a_model_and_no_report(tmp_path, capsys):
    assert train_main(["--preset", "tiny", "--steps", "0", "--warm-start-steps", "0", "--heldout", "0", "--out", str(tmp_path / "r")]) == 0
    assert "none: no step was trained" in capsys.readouterr().out and (tmp_path / "r" / "model").is_dir()


@pytest.mark.parametrize("argv, words", [(["--adapter", "none"], "adapter=none: the run in"), (["--adapter", "qlora"], "has adapter=lora"), (["--lora-rank", "3"], "has lora_rank=4")])
def test_a_run_is_not_resumed_with_another_adapter(argv, words, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"adapter": "lora", "lora_rank": 4, "model": "tiny"}))
    assert train_main(["--resume", str(tmp_path), *argv]) == 2
    assert words in capsys.readouterr().err
    assert train_settings(["--resume", str(tmp_path), "--adapter", "lora", "--lora-rank", "4"])[0].lora_rank == 4


def test_the_papers_preset_is_the_papers():
    p = preset("paper")
    assert (p["model"], p["train"], p["problems_per_step"], p["group_size"], p["minibatch_problems"]) == ("Qwen/Qwen3-1.7B", "dapo-math-17k", 512, 8, 256)
    assert (p["lr"], p["weight_decay"], p["kl_coef"], p["steps"]) == (1e-6, 0.01, 0.001, 300)
    c = RunConfig(**p)
    assert (c.gamma, c.tau) == (0.1, 0.1)
    assert (c.novelty_memory, c.regen_archive, c.regen_per_step, c.regen_start, c.regen_queue) == (16, 128, 16, 30, 512)
    assert (p["max_prompt_tokens"], p["max_new_tokens"], p["eval_samples"], p["eval_temperature"], p["eval_top_p"]) == (2048, 4096, 32, 0.7, 0.9)
    assert p["benchmarks"].split(",") == list(BENCHMARKS)
    e = EvalConfig()
    assert (e.samples, e.temperature, e.top_p, e.k) == (32, 0.7, 0.9, "1,16")


THEIRS = {  # what people type who come from TRL, transformers, verl, OpenRLHF -> what they mean here
    "learning-rate": "lr", "num-generations": "group-size", "max-completion-length": "max-new-tokens", "beta": "kl-coef", "max-steps": "steps",
    "output-dir": "out", "dataset-name": "train", "per-device-train-batch-size": "problems-per-step", "gradient-accumulation-steps": "micro-batch-tokens",
    "top-p": "eval-top-p", "num-train-epochs": "steps", "epsilon": "clip-low", "epsilon-high": "clip-high", "loss-type": "loss-average",
    "scale-rewards": "advantage-scale", "max-prompt-length": "max-prompt-tokens", "use-vllm": "sampler", "lora-r": "lora-rank", "load-in-4bit": "adapter",
    "bf16": "compute", "warmup-ratio": "warmup-steps", "save-steps": "checkpoint-every", "report-to": "track", "model-name-or-path": "model",
    "max-grad-norm": "grad-clip", "lr-scheduler-type": "lr-schedule", "num-iterations": "epochs", "mask-truncated-completions": "mask-truncated",
    "save-total-limit": "keep-checkpoints", "resume-from-checkpoint": "resume", "reward-funcs": "rewards", "use-peft": "adapter",
    "n-samples-per-prompt": "group-size", "generate-max-len": "max-new-tokens", "init-kl-coef": "kl-coef", "pretrain": "model", "group-size": "group-size",
    "actor_rollout_ref.rollout.n": "group-size", "data.train_batch_size": "problems-per-step", "data.max_response_length": "max-new-tokens",
    "data.max_prompt_length": "max-prompt-tokens", "data.train_files": "train", "algorithm.kl_ctrl.kl_coef": "kl-coef", "trainer.total_epochs": "steps",
    "actor_rollout_ref.model.path": "model", "actor_rollout_ref.actor.optim.lr": "lr", "actor_rollout_ref.actor.ppo_mini_batch_size": "minibatch-problems",
    "actor_rollout_ref.actor.kl_loss_coef": "kl-coef", "actor_rollout_ref.actor.clip_ratio_high": "clip-high", "trainer.save_freq": "checkpoint-every",
    "actor_rollout_ref.rollout.temperature": "temperature", "trainer.default_local_dir": "out", "actor_rollout_ref.rollout.val_kwargs.n": "eval-samples",
}


@pytest.mark.parametrize("theirs, ours", THEIRS.items())
def test_names_of_other_trainers_lead_to_ours(theirs, ours, capsys):
    "With dashes or underscores, with the value apart or behind =, and without dashes in front where verl has none."
    ways = [[f"--{theirs}", "1"], [f"--{theirs.replace('-', '_')}=1"]] + ([[f"{theirs}=1"], [f"+{theirs}=1"]] if "." in theirs else [])
    for argv in ways[ours == theirs :]:
        assert train_main(argv) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and f"did you mean '--{ours}'" in error and len(error) < 250, error


def test_every_name_of_another_program_leads_to_an_option_that_there_is():
    options = {f.name.replace("_", "-") for c in (RunConfig, EvalConfig) for f in fields(c)} | {"out", "resume", "config", "preset"}
    for theirs, ours in ELSEWHERE.items():
        assert set(ours.split()) <= options and theirs not in {f.name.replace("_", "-") for f in fields(RunConfig)}, theirs
        assert theirs == theirs.lower().replace("_", "-") and theirs not in NEEDLESS
    assert set(COUNTED) <= options


@pytest.mark.parametrize("argv, hint", [(["--num-generations", "4"], "--samples"), (["--max_gen_toks=9"], "--max-new-tokens"), (["--tasks", "x"], "--benchmarks"),
                                        (["--dataset-name", "x"], "--problems"), (["--model_name_or_path", "x"], "--model")])
def test_names_of_other_programs_lead_to_the_options_of_this_command(argv, hint, capsys):
    assert eval_main(argv) == 2
    assert f"did you mean '{hint}'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["--gama", "--zzz", "--tokens", "--no-reprot", "--x.y.z", "-q", "--Ünïcode"])
def test_an_unknown_option_shows_three_near_names(name, capsys):
    assert train_main([name, "1"]) == 2
    error = capsys.readouterr().err
    near = error.partition("near names: ")[2].partition(";")[0].split(", ")
    assert error.count("\n") == 1 and len(set(near)) == 3 and all(n.startswith("--") for n in near) and len(error) < 200, error


@pytest.mark.parametrize("argv, words", [
    (["--logging_steps", "5"], "every step is logged"), (["--optim=adamw_torch"], "AdamW"), (["--learning-rat", "1"], "'--lr'"),
    (["--gradient-checkpointing", "true"], "a switch takes no value"), (["a.b.c=1"], "--NAME VALUE"), (["steps=3"], "'--steps'")])
def test_other_slips_are_answered_too(argv, words, capsys):
    assert train_main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error, error


def test_names_of_other_trainers_in_a_file_of_settings(tmp_path):
    (tmp_path / "c.json").write_text('{"num_generations": 4}')
    with pytest.raises(InputError, match="did you mean 'group_size'"): train_settings(["--config", str(tmp_path / "c.json")])


def test_regeneration_follows_the_size_of_a_run_unless_it_is_told():
    def built(*argv):
        config, _ = train_settings(["--embedder", "ngram", "--mechanisms", "regeneration", *argv])
        (mechanism,) = build_mechanisms(config)
        mechanism.setup(None, config)
        return mechanism.per_step, mechanism.min_gap

    assert built("--preset", "paper") == (16, 32) and built("--preset", "one-gpu") == (1, 32)
    assert built() == (2, 6) and built("--preset", "tiny") == (1, 4)  # presets that set numbers keep them
    assert RunConfig().regen_per_step is None and RunConfig().prefix_min_tokens is None and RunConfig().parameters == {}
    assert built("--regen-per-step", "5", "--prefix-min-tokens", "3") == (5, 3)


def test_a_run_of_an_earlier_version_resumes_with_its_numbers(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"regen_per_step": 16, "prefix_min_tokens": 32, "problems_per_step": 8}))
    config, _ = train_settings(["--resume", str(tmp_path)])
    assert (config.regen_per_step, config.prefix_min_tokens) == (16, 32)
    (tmp_path / "config.json").write_text(json.dumps({"regen_per_step": None, "prefix_min_tokens": None}))
    config, _ = train_settings(["--resume", str(tmp_path)])
    assert (config.regen_per_step, config.prefix_min_tokens) == (None, None)


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as e: train_settings(["--help"])
    assert e.value.code == 0
    short = capsys.readouterr().out
    with pytest.raises(SystemExit) as e: train_settings(["--help-all"])
    assert e.value.code == 0
    text = capsys.readouterr().out
    settings = {*RunConfig.__dataclass_fields__, *SHORT_NAMES} - {"parameters"}  # which --set and --explain are for
    for name in settings: assert "--" + name.replace("_", "-") in text
    assert text.count("(default:") >= len(settings)
    assert len(short.splitlines()) < len(text.splitlines()) / 2 and all("--" + name.replace("_", "-") in short for name in GROUPS["common settings"].split())


@pytest.mark.parametrize("argv, words", [([], "default: 48, preset quickstart"), (["--preset", "paper"], "default: 4096, preset paper"),
                                         (["--max-new-tokens", "99"], "here: 99, command line"), (["--preset", "paper,dapo"], "default: 4096, preset paper")])
def test_help_shows_the_value_in_effect_and_where_it_comes_from(argv, words, capsys):
    with pytest.raises(SystemExit): train_settings([*argv, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert words in text and "examples:" in text and "{none,lora,qlora}" in text and "--regen-start" not in text


def test_every_printed_default_is_that_of_a_bare_command(capsys):
    "Of each option the value that help shows is the value that a run without options has."
    config, args = train_settings([])
    with pytest.raises(SystemExit): train_settings(["--help-all"])
    text = " ".join(capsys.readouterr().out.split())
    for name, row in args.rows.items():
        if name in {*RunConfig.__dataclass_fields__} - {"parameters"}:
            assert getattr(config, name) == row.value
            value = "none" if row.value in (None, "") else str(row.value).lower() if isinstance(row.value, bool) else row.value
            assert f"(default: {value}" in text, name


# ---- parameters of mechanisms

@pytest.mark.parametrize("old, place", PLACES.items())
def test_old_names_set_the_same_parameter_and_one_line_says_the_new_one(old, place, tmp_path):
    value = {"bool": True, "int": 7, "float": 0.7}.get(parameter(place).kinds[0])
    if value is None: value = {"novelty.kind": "ngram", "novelty.scale": "running", "novelty.remember": "correct", "regeneration.hard": "zero",
                               "regeneration.select": "random", "regeneration.cut_at": "sentence"}[place]
    mechanism, _, name = place.partition(".")
    option, everything = "--" + old.replace("_", "-"), ["--mechanisms", "novelty,regeneration,replay"]
    way = [option] if value is True else [option, str(value)]
    (tmp_path / "c.json").write_text(json.dumps({mechanism: {name: value}}))
    (tmp_path / "old.json").write_text(json.dumps({old: value}))
    ways = [way, ["--set", f"{place}={value}"], ["--config", str(tmp_path / "c.json")], ["--config", str(tmp_path / "old.json")]]
    found = [train_settings([*everything, *argv]) for argv in ways]
    assert [config.parameters[mechanism][name] for config, _ in found] == [value] * 4
    assert all(config == found[0][0] and getattr(config, old) == value for config, _ in found)
    said = [sum(place in note for note in args.notes) for _, args in found]
    assert said == ([1, 0, 0, 1] if old in OLD_NAMES else [0, 0, 0, 0])


@pytest.mark.parametrize("place", [p.place for name in MECHANISMS for p in parameters(name).values()])
def test_every_parameter_of_every_mechanism_can_be_set_and_is_checked_by_its_class(place):
    p = parameter(place)
    usual = "ngram" if p.name == "embedder" else str(p.default)
    config, _ = train_settings(["--mechanisms", p.mechanism, "--embedder", "ngram", "--set", f"{place}={usual}"])
    (made,) = build_mechanisms(config)
    assert made.name == p.mechanism
    if {"int", "float"} & {*p.kinds}:
        for bad in ("nan", "inf", "1e400", "many", "1" + "0" * 400):
            with pytest.raises(InputError, match=place): train_settings(["--set", f"{place}={bad}"])


@pytest.mark.parametrize("argv, words", [
    (["--set", "novelty.gama=1"], "did you mean 'gamma'"), (["--set", "noveltie.gamma=1"], "did you mean 'novelty'"), (["--set", "gamma=1"], "NAME.PARAMETER=VALUE"),
    (["--set", "novelty.gamma"], "NAME.PARAMETER=VALUE"), (["--set", "novelty.capacity=0"], "novelty: capacity must be at least 1"), (["--gamma", "-1"], "gamma must be 0 or more"),
    (["--set", "replay.keep=none"], "a whole number is expected"), (["--regen-queue", "0"], "queue_size must be at least 1"), (["--tau", "0"], "tau must be above 0"),
    (["--capacity", "3"], "did you mean --set novelty.capacity=VALUE?"), (["--novelty.gamma", "1"], "did you mean --set novelty.gamma=VALUE?"),
    (["--per-step=3"], "--set regeneration.per_step=VALUE or --set replay.per_step=VALUE"), (["--explain", "noveltie"], "did you mean 'novelty'")])
def test_mistakes_about_parameters_take_one_line(argv, words, capsys):
    assert train_main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error and len(error) < 250, error


def test_explain_lists_every_parameter_with_meaning_default_range_and_source(capsys):
    for name in MECHANISMS:
        assert train_main(["--explain", name]) == 0
        text = capsys.readouterr().out
        for p in parameters(name).values(): assert f"  {p.name} = " in text and p.meaning[:10] in text
    assert train_main(["--explain", "regeneration"]) == 0
    text = capsys.readouterr().out
    assert "start_step = 30" in text and "at least 0" in text and "release: 30" in text and "entropy, line, sentence" in text


def test_show_prints_every_setting_and_where_it_comes_from_without_a_model(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("extra_nb.commands.jobs.build_policy", lambda *args: pytest.fail("a model is built"))
    (tmp_path / "c.toml").write_text("steps = 3\nnovelty.gamma = 0.3\n")
    assert train_main(["--preset", "paper", "--config", str(tmp_path / "c.toml"), "--lr", "1", "--show"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["max_new_tokens"] == {"value": 4096, "from": "preset paper"} and shown["lr"] == {"value": 1.0, "from": "command line"}
    assert shown["novelty.gamma"] == {"value": 0.3, "from": str(tmp_path / "c.toml")} and shown["clip_low"]["from"] == "default"
    assert {*RunConfig.__dataclass_fields__} - {"parameters"} <= {*shown} and shown["steps"]["value"] == 3


@pytest.mark.parametrize("name, text", [("c.json", '{"lr": 1e-5, "novelty": {"gamma": 0.3}, "keep_rollouts": false}'), ("c.yaml", "lr: 1e-5\nnovelty: {gamma: 0.3}\nkeep_rollouts: off\n"),
                                        ("c.yml", "lr: 1.0e-5\nnovelty:\n  gamma: .3\nkeep_rollouts: false\n"), ("c.toml", "lr = 1e-5\nkeep_rollouts = false\n[novelty]\ngamma = 0.3\n")])
def test_settings_are_read_from_json_yaml_and_toml(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    config, _ = train_settings(["--config", str(tmp_path / name)])
    assert (config.lr, config.gamma, config.keep_rollouts) == (1e-5, 0.3, False)


@pytest.mark.parametrize("name, text, words", [("c.yaml", "a: [1", "is not YAML"), ("c.toml", "a = ", "is not TOML"), ("c.yaml", "stepz: 1", "'steps'"), ("c.yaml", "- 1", "an object with settings"),
                                               ("c.yaml", "steps: 2026-01-01", "steps="), ("c.toml", "novelty = 3", "novelty"), ("c.json", '{"novelty": {"gama": 1}}', "'gamma'"), ("c.yaml", "1: 2", "1")])
def test_files_of_settings_that_cannot_be_meant(name, text, words, tmp_path, capsys):
    (tmp_path / name).write_text(text)
    assert train_main(["--config", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error, error


@pytest.mark.parametrize("argv, idle", [(["--mechanisms", "none", "--gamma", "0.2"], ["novelty.gamma"]), (["--preset", "grpo", "--tau", "0.2"], ["regeneration.tau"]),
                                        (["--kl-kind", "k1"], ["kl_kind"]), (["--kl-kind", "k1", "--kl-coef", "0.1", "--gamma", "0.2"], []), (["--lora-rank", "4"], ["lora_rank"]),
                                        (["--heldout", "0", "--eval-samples", "32"], ["eval_samples"]), (["--warm-start-steps", "0", "--warm-start-lr", "1e-4"], ["warm_start_lr"]), ([], [])])
def test_settings_without_effect_are_said(argv, idle):
    _, args = train_settings(argv)
    assert [note.partition("=")[0] for note in args.notes if "has no effect" in note] == idle


OLD_RUN = {"mechanisms": "novelty,regeneration", "gamma": 0.2, "novelty_kind": "embedding", "novelty_scale": "raw", "novelty_memory": 16, "remember": "all", "bonus_before_norm": False,
           "placebo": False, "tau": 0.1, "regen_per_step": 1, "regen_start": 1, "regen_queue": 512, "regen_archive": 128, "regen_hard": "le_1", "regen_select": "random",
           "prefix_min_tokens": 4, "prefix_max_cuts": 15, "cut_at": "line", "replay_per_step": 64, "replay_keep": 4, "replay_age": 30}


def test_a_run_that_was_written_with_flat_names_goes_on_with_the_same_numbers(tmp_path):
    argv = [*SHORT, "--heldout", "0", "--gamma", "0.2", "--set", "regeneration.select=random"]
    assert train_main([*argv, "--steps", "4", "--out", str(tmp_path / "whole")]) == 0
    assert train_main([*argv, "--steps", "2", "--out", str(tmp_path / "part")]) == 0
    path = tmp_path / "part" / "config.json"
    found = json.loads(path.read_text())
    del found["parameters"]
    path.write_text(json.dumps({**found, **OLD_RUN}))  # as versions before `parameters` wrote it
    assert train_main(["--resume", str(tmp_path / "part"), "--steps", "4"]) == 0
    logs = [[json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()] for name in ("whole", "part")]
    assert [m["step"] for m in logs[1]] == [1, 2, 3, 4]
    for whole, part in zip(*logs): assert {k: v for k, v in whole.items() if not k.startswith("time/")} == {k: v for k, v in part.items() if not k.startswith("time/")}
    assert json.loads(path.read_text())["parameters"]["novelty"]["gamma"] == 0.2


# ---- data of one's own

def sums(path, n=40):
    path.write_text("".join(json.dumps({"question": f"{i}+2", "answer": str(i + 2)}) + "\n" for i in range(n)))
    return str(path)


def test_own_data_never_inherits_the_toy(tmp_path):
    config, args = train_settings(["--train", sums(tmp_path / "d.jsonl")])
    assert (config.max_new_tokens, config.total_minutes, config.train_problems, config.system_prompt, config.heldout, config.warm_start_steps) == (512, 0.0, 0, None, 4, 0)
    assert args.preset == "own" and not any(row.source.startswith("preset") for row in args.rows.values())
    assert "no preset is used" in args.notes[0] and any("max_new_tokens = 512" in line for line in args.notes)
    assert train_settings(["--train", sums(tmp_path / "d.jsonl"), "--model", "tiny"])[0].max_new_tokens == 251  # what its context leaves
    assert train_settings(["--train", sums(tmp_path / "d.jsonl"), "--heldout", "0", "--max-new-tokens", "9"])[0].heldout == 0
    config, args = train_settings(["--train", sums(tmp_path / "d.jsonl"), "--preset", "dapo"])  # a method says nothing of the scale
    assert (config.max_new_tokens, config.overlong_buffer, config.dynamic_sampling, args.preset) == (512, 102, 3, "own,dapo")
    for argv in (["--preset", "quickstart"], ["--preset", "tiny"]):
        config, args = train_settings([*argv, "--train", sums(tmp_path / "d.jsonl")])
        assert config.max_new_tokens in (48, 32) and args.notes == []
    assert train_settings(["--train", "arithmetic:2-3"])[0].max_new_tokens == 48  # quickstart's own data, with another level
    assert train_settings(["--model", "tiny"])[0].total_minutes == 0


def test_a_run_on_own_data_says_its_settings_and_that_responses_were_cut(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = ["--train", sums(tmp_path / "d.jsonl", 12), "--model", "tiny", "--embedder", "ngram", "--steps", "2", "--group-size", "2", "--problems-per-step", "2",
            "--max-new-tokens", "1", "--eval-samples", "2", "--eval-k", "1", "--no-report"]
    assert train_main(argv) == 0
    said = capsys.readouterr().out
    assert "heldout = 1  (own data: a tenth of 12, at most 50)" in said and said.count("--max-new-tokens 4 would help") == 1
    assert said.index("step 1/2") < said.index("would help") < said.index("step 2/2")
    assert (tmp_path / "runs" / "own-1" / "metrics.jsonl").exists() and "100% were cut" in said


def test_an_evaluation_says_how_many_responses_were_cut(tmp_path, capsys):
    argv = ["--model", "tiny", "--problems", sums(tmp_path / "d.jsonl", 3), "--samples", "2", "--k", "1", "--max-new-tokens", "1", "--out", str(tmp_path / "e")]
    assert eval_main(argv) == 0
    assert "100% were cut" in capsys.readouterr().out


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_six_benchmarks_load_and_every_gold_is_read_or_reported(name, shared):
    from extra_nb.tasks import load_problems
    from extra_nb.verifier import Verifier, check_golds

    found = load_problems(name, data_dir=shared / "data" / "eval")
    rows = sum(1 for _ in open(shared / "data" / "eval" / f"{name}.jsonl", encoding="utf-8"))
    assert len(found.problems) + len(found.skipped) == rows
    with Verifier(timeout=60) as v: bad = check_golds(found.problems, v)  # a machine may be busy
    assert len(bad) <= 0.03 * rows, bad


def test_rewards_of_ones_own_are_added(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("def brevity(problem, response): return 1 / (1 + len(response))\n\n\ndef broken(problem, response):\n    if \'boxed\' not in response and len(response) % 2: raise KeyError(response)\n    return 0.0\n")
    rewards = f"{tmp_path / 'mine.py'}:brevity*0.5,{tmp_path / 'mine.py'}:broken"
    assert train_main(["--preset", "tiny", "--steps", "1", "--warm-start-steps", "1", "--heldout", "0", "--no-report", "--rewards", rewards,
                       "--out", str(tmp_path / "run")]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert 0 < metrics["reward/brevity"] < 0.5 and metrics["reward/brevity_failed"] == 0
    assert metrics["reward/broken"] == 0 and 0 < metrics["reward/broken_failed"] < 16


@pytest.mark.parametrize("rewards, message", [("nowhere.py:f", "nowhere.py"), ("{0}:brevitty", "brevity"), ("{0}:brevity*x", "'x'"), ("brevity", "FILE"),
                                              ("{0}:brevity,{0}:brevity", "two functions")])
def test_rewards_that_cannot_be_used_are_refused(tmp_path, capsys, rewards, message):
    (tmp_path / "mine.py").write_text("def brevity(problem, response): return 1.0\n")
    text = rewards.format(tmp_path / "mine.py")
    assert train_main(["--preset", "tiny", "--rewards", text, "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and (message in err or message == "FILE")
