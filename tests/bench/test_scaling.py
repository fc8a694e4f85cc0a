"The benchmark of scaling: exponents, axes, bounds of memory and command."
import pytest
import torch
from benching import result

from extra_nb.bench import scaling
from extra_nb.bench.scaling import ScalingBench, axis_values, exponent
from extra_nb.bench.workloads import varied
from extra_nb.embedders import load_embedder
from extra_nb.running.checkpoints import pack
from extra_nb.types import Problem, Request


@pytest.mark.parametrize("power", [0.5, 1.0, 1.3])
def test_the_exponent_is_found(power):
    assert exponent([(n, 3 * n**power) for n in (10, 25, 70, 400)]) == pytest.approx(power)


def test_axes_are_sorted_and_checked():
    assert axis_values(ScalingBench(problems="8,2,2,4", groups=" 4, 2", lengths="7")) == {"problems": [2, 4, 8], "groups": [2, 4], "lengths": [7]}


def test_memories_reach_their_bound_and_stop_there(policy):
    trainer = scaling.scaling_trainer(varied(policy), "fp32", load_embedder("lines"), 2, 2, 8)
    trainer.step()
    novelty, regeneration = trainer.mechanisms
    L, width = policy.context_length, len(regeneration.embedder(["x"])[0])
    for i in range(300):
        for p in trainer.problems:
            novelty.source.memory.update(p.id, torch.ones(3, width))
            prefix = torch.randint(9, (L,)), torch.rand(L)
            regeneration._archive([(p.id, *prefix)])
            regeneration.queue.append((i, Request(Problem(f"{p.id}{i}", "", ""), tuple(prefix[0].tolist()), tuple(prefix[1].tolist()), "regeneration")))
    held = {m.name: sum(t.nbytes for t in pack(m.state_dict())[1].values()) for m in trainer.mechanisms}
    assert held == scaling.most_bytes(trainer)


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
