"Agreement, to 1e-5, with numbers recorded from the released code of ExTra."
import json

import pytest
import torch
from torch import tensor
from torch.nn.functional import normalize
from torch.testing import assert_close

from extra_nb.grpo import group_advantage
from extra_nb.novelty import NgramMemory, NoveltyMemory, add_bonus, surprise_novelty
from extra_nb.prefix import PrefixArchive, smooth_entropy

CLOSE = {"atol": 1e-5, "rtol": 0}


@pytest.fixture(scope="module")
def release(shared):
    return json.loads((shared / "parity" / "official_release.json").read_text())


def groups(names):
    "name -> positions, in order of first appearance."
    return {name: [i for i, other in enumerate(names) if other == name] for name in dict.fromkeys(names)}


def scattered(names, rows):
    "Rows of groups, put back at the positions that their members came from."
    out = torch.empty(len(names))
    for name, positions in groups(names).items(): out[positions] = rows[name]
    return out


def test_novelty_embedding(release):
    paid = 0
    for case in release["novelty_embedding"]:
        memory = NoveltyMemory(case["capacity"], case["min_history"])
        for step in case["steps"]:
            e, members = tensor(step["embedding"]), groups(step["prompt"])
            ours = scattered(step["prompt"], {p: memory.novelty(p, e[i]) for p, i in members.items()})
            assert_close(ours, tensor(step["novelty"]), **CLOSE)
            paid += int((ours > 0.01).sum())
            for p, i in members.items(): memory.update(p, e[i])
    assert paid > 80  # the comparison is not one of zeros with zeros


def test_novelty_embedding_needs_the_memory(release):
    "The recorded numbers would expose a memory that is never filled, or filled before scoring."
    case = release["novelty_embedding"][0]
    for early in (False, True):
        memory, agrees = NoveltyMemory(case["capacity"], 0 if not early else case["min_history"]), True
        for step in case["steps"]:
            e, members = tensor(step["embedding"]), groups(step["prompt"])
            if early: [memory.update(p, e[i]) for p, i in members.items()]
            ours = scattered(step["prompt"], {p: memory.novelty(p, e[i]) for p, i in members.items()})
            agrees &= torch.allclose(ours, tensor(step["novelty"]), **CLOSE)
        assert not agrees


@pytest.mark.parametrize("case", range(5))
def test_advantage(release, case):
    case = release["advantage"][case]
    rewards, nu, members = tensor(case["reward"]), tensor(case["novelty"]), groups(case["group"])
    scale = "std" if case["scale_by_std"] else "none"
    rows = {}
    for name, i in members.items():
        r, n, correct = rewards[i][None], nu[i][None], rewards[i][None] > 0
        if case["bonus_after_norm"]: rows[name] = add_bonus(group_advantage(r, scale=scale), n, correct, case["gamma"])[0]
        else: rows[name] = group_advantage(add_bonus(r, n, correct, case["gamma"]), scale=scale)[0]
    assert_close(scattered(case["group"], rows), tensor(case["advantage"]), **CLOSE)


def test_advantage_cases_cover_both_orders(release):
    assert {(c["bonus_after_norm"], c["scale_by_std"]) for c in release["advantage"]} == {(a, b) for a in (True, False) for b in (True, False)}
    assert len(release["advantage"]) == 5


@pytest.mark.parametrize("case", range(6))
def test_prefix_selection(release, case):
    case = release["prefix_selection"][case]
    e, h, tau = tensor(case["embedding"]), tensor(case["mean_token_entropy"]), case["tau"]
    s = smooth_entropy(e, h, tau)
    assert s.argmin().item() == case["best"]
    assert_close(s.min(), tensor(case["best_smoothed_entropy"]), **CLOSE)
    archive = PrefixArchive(capacity=len(h))
    for i in range(len(h)): archive.add([i, i], h[i].repeat(2), e[i])
    assert archive.best(tau).ids.tolist() == [case["best"]] * 2


def test_prefix_selection_is_not_the_raw_minimum(release):
    cases = release["prefix_selection"]
    assert len(cases) == 6
    assert any(tensor(c["mean_token_entropy"]).argmin().item() != c["best"] for c in cases)
    for c in cases:
        if len(c["mean_token_entropy"]) > 1:  # and unnormalised embeddings would give other numbers
            s = (tensor(c["embedding"]) @ tensor(c["embedding"]).T / c["tau"]).softmax(1) @ tensor(c["mean_token_entropy"])
            assert abs(s.min().item() - c["best_smoothed_entropy"]) > 1e-4
            assert not torch.allclose(normalize(tensor(c["embedding"]), dim=1), tensor(c["embedding"]))


def test_novelty_ngram(release):
    for case in release["novelty_ngram"]:
        memory = NgramMemory(case["n"])
        for step in case["steps"]:
            members, correct = groups(step["prompt"]), tensor(step["correct"]).bool()
            ours = scattered(step["prompt"], {p: memory.novelty(p, [step["tokens"][j] for j in i]) for p, i in members.items()})
            assert_close(ours, tensor(step["novelty"]), **CLOSE)
            for p, i in members.items(): memory.update(p, [step["tokens"][j] for j in i], correct[i])


def test_novelty_surprise(release):
    for case in release["novelty_surprise"]:
        logprobs, correct = tensor(case["sequence_logprob"]), tensor(case["correct"]).bool()
        rows = {p: surprise_novelty(logprobs[i], correct[i]) for p, i in groups(case["prompt"]).items()}
        assert_close(scattered(case["prompt"], rows), tensor(case["novelty"]), **CLOSE)
