"One step of ours and of TRL's: the same work."
import pytest
import torch

from extra_nb.bench import trainers
from extra_nb.bench.trainers import StepBench, our_step, our_trainer, trl_steps
from extra_nb.bench.workloads import problems_for, varied
from extra_nb.cli import bench_main


def test_without_trl_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(trainers, "find_spec", lambda name: None)
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
    original = trainers.peer_model

    def watched(*args):
        model = original(*args)
        generate = model.generate

        def spy(*a, generation_config, **kw):
            seen["config"] = generation_config
            seen["prompts"] = kw["attention_mask"].sum(1).tolist()
            return generate(*a, generation_config=generation_config, **kw)

        monkeypatch.setattr(model, "generate", spy)
        return model

    monkeypatch.setattr(trainers, "peer_model", watched)
    turns = []
    steps = trl_steps(policy, StepBench(problems=2, group_size=2, new_tokens=5), 2, between=lambda steps: turns.append(len(steps)))
    assert [s["tokens"] for s in steps] == [20, 20] and turns == [1, 2]
    c = seen["config"]
    assert (c.do_sample, c.temperature, c.top_p, c.top_k, c.eos_token_id, c.max_new_tokens) == (True, 1.0, 1.0, 0, None, 5)
    assert sorted(seen["prompts"]) == sorted(len(policy.encode(p)) for p in problems_for(policy, 2) for _ in range(2))
    assert all(0 < s["sampling"] < s["seconds"] and s["update"] > 0 for s in steps)
