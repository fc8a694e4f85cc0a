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
from extra_nb.models.loading import known_context
from extra_nb.policy import tiny_policy
from extra_nb.tasks import BENCHMARKS
from extra_nb.types import InputError

COLUMNS = {"step", "reward/mean", "policy/entropy", "groups/all_correct", "groups/all_wrong", "novelty/mean", "regen/groups", "tokens/generated", "time/step"}
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
    monkeypatch.setattr("extra_nb.cli.build_policy", lambda *args: pytest.fail("a model is built"))
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
    assert (p["lr"], p["weight_decay"], p["kl_coef"], p["gamma"], p["tau"], p["steps"]) == (1e-6, 0.01, 0.001, 0.1, 0.1, 300)
    assert (p["novelty_memory"], p["regen_archive"], p["regen_per_step"], p["regen_start"], p["regen_queue"]) == (16, 128, 16, 30, 512)
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
    assert RunConfig().regen_per_step is None and RunConfig().prefix_min_tokens is None
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
    text = capsys.readouterr().out
    for field in RunConfig.__dataclass_fields__: assert "--" + field.replace("_", "-") in text
    assert text.count("(default:") >= len(RunConfig.__dataclass_fields__)


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
    (tmp_path / "mine.py").write_text("def brevity(problem, response): return 1 / (1 + len(response))\n\n\ndef broken(problem, response): return {f\"So the answer is \\\\boxed{{{problem.answer}}}.\": 1.0}[response]\n")
    rewards = f"{tmp_path / 'mine.py'}:brevity*0.5,{tmp_path / 'mine.py'}:broken"
    assert train_main(["--preset", "tiny", "--steps", "1", "--warm-start-steps", "1", "--heldout", "0", "--no-report", "--rewards", rewards,
                       "--out", str(tmp_path / "run")]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert 0 < metrics["reward/brevity"] < 0.5 and metrics["reward/brevity_failed"] == 0
    assert metrics["reward/broken"] == 0 and metrics["reward/broken_failed"] == 16


@pytest.mark.parametrize("rewards, message", [("nowhere.py:f", "nowhere.py"), ("{0}:brevitty", "brevity"), ("{0}:brevity*x", "'x'"), ("brevity", "FILE"),
                                              ("{0}:brevity,{0}:brevity", "two functions")])
def test_rewards_that_cannot_be_used_are_refused(tmp_path, capsys, rewards, message):
    (tmp_path / "mine.py").write_text("def brevity(problem, response): return 1.0\n")
    text = rewards.format(tmp_path / "mine.py")
    assert train_main(["--preset", "tiny", "--rewards", text, "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and (message in err or message == "FILE")
