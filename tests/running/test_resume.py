"Exact resume and reload safety: what is equal bit for bit, what is refused, and what is merely said."
import hashlib
import importlib
import json
import os
import random
import shutil
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from extra_nb.running.checkpoints import append_line, checkpoints, damage, discard, last_checkpoint, outdated, pack, read_card, read_state, signed, tidy
from extra_nb.running.checkpoints import write_checkpoint, write_state
from extra_nb.embedders import NgramEmbedder
from extra_nb.mechanisms import Mechanism
from extra_nb.novelty import NoveltyBonus
from extra_nb.policy import load_policy, tiny_policy
from extra_nb.regeneration import PrefixRegeneration
from extra_nb.methods.replay import SuccessReplay
from extra_nb.tasks import arithmetic
from extra_nb.running.saving import run_state
from extra_nb.running.steps import fixed_randomness
from extra_nb.train import RunStopped, Trainer
from extra_nb.types import InputError, Verdict, stable_hash

PROBLEMS = arithmetic(10, levels=(2, 3), seed=2)


class Judge:
    "Right and wrong in every step, whatever the policy knows; the same text is always judged alike."
    def judge(self, problems, responses):
        right = [stable_hash(r) % 3 == 0 for r in responses]
        return [Verdict(r, "correct" if r else "wrong") for r in right]


class EverySecond:
    "One of two responses is right, so that there is something to learn from every group."
    def judge(self, problems, responses): return [Verdict(i % 2 == 0, "wrong" if i % 2 else "correct") for i in range(len(responses))]


def novelty(**kwargs): return NoveltyBonus(**{"embedder": NgramEmbedder(), "min_history": 4, **kwargs})


def regeneration(**kwargs):
    return PrefixRegeneration(**{"start_step": 1, "per_step": 2, "min_gap": 2, "cut_at": "entropy", "embedder": NgramEmbedder(), **kwargs})


class Dice(Mechanism):
    "Draws from every global generator, as a mechanism of one's own may."
    name = "dice"

    def step_end(self, step, groups): return {"dice/python": random.random(), "dice/numpy": np.random.rand(), "dice/torch": torch.rand(()).item()}


MECHANISMS = {"grpo": list, "novelty": lambda: [novelty()], "regeneration": lambda: [regeneration()], "both": lambda: [novelty(), regeneration()],
              "ngram": lambda: [novelty(kind="ngram")], "surprise, placebo": lambda: [novelty(kind="surprise", placebo=True)],
              "running scale, before the norm": lambda: [novelty(scale="running", before_norm=True)], "random prefixes": lambda: [regeneration(select="random")],
              "replay": lambda: [SuccessReplay(per_step=6, keep=2, age=3)], "dice": lambda: [Dice()]}


def trainer(out, mechanisms=(), adapter="none", policy=None, problems=PROBLEMS, seed=0, **settings):
    policy = policy or (tiny_policy(seed) if adapter == "none" else load_policy("tiny", adapter=adapter, lora_rank=4, seed=seed))
    settings = {"steps": 4, "problems_per_step": 4, "group_size": 4, "max_new_tokens": 12, "lr": 3e-3, "say": None, "verifier": Judge(), **settings}
    return Trainer(policy, problems, mechanisms, out=out, **settings)


def everything(t):
    "All that a run leaves: weights, all other state, metrics but for times, every rollout."
    packed, tensors = pack(run_state(t))
    weights = {n: p.detach().clone() for n, p in t.policy.model.named_parameters()}
    log = [{k: v for k, v in json.loads(line).items() if not k.startswith("time/")} for line in (t.out / "metrics.jsonl").read_text().splitlines()]
    rollouts = {p.name: p.read_text() for p in (t.out / "rollouts").iterdir()}
    return weights, (packed, {k: v.clone() for k, v in tensors.items()}), log, rollouts


def assert_equal(one, other):
    for name in one[0]: assert_close(other[0][name], one[0][name], atol=0, rtol=0)
    assert other[2] == one[2]  # metrics first: they say best what went apart
    (packed, tensors), (others, other_tensors) = one[1], other[1]
    assert others == packed and other_tensors.keys() == tensors.keys() and other[3] == one[3]
    for name, x in tensors.items(): assert torch.equal(other_tensors[name], x) and other_tensors[name].dtype == x.dtype, name


def straight(out, mechanisms, adapter="none", **settings):
    whole = trainer(out, mechanisms(), adapter, **settings)
    whole.fit()
    return whole


def resumed_after(tmp_path, mechanisms, adapter="none", stop_after=2, **settings):
    first = trainer(tmp_path / "parts", mechanisms(), adapter, **settings)
    for _ in range(stop_after): first.step()
    first.save_checkpoint()
    second = trainer(tmp_path / "parts", mechanisms(), adapter, **settings)
    assert second.resume() == stop_after
    second.fit()
    return second


def straight_and_resumed(tmp_path, mechanisms, adapter="none", **settings):
    return straight(tmp_path / "whole", mechanisms, adapter, **settings), resumed_after(tmp_path, mechanisms, adapter, **settings)


@pytest.mark.parametrize("name, adapter", [(name, adapter) for name in MECHANISMS for adapter in ("none", "lora")
                                           if adapter == "none" or name in ("grpo", "novelty", "regeneration", "both")])
def test_k_steps_and_k_more_are_2k_steps(tmp_path, name, adapter):
    whole, resumed = straight_and_resumed(tmp_path, MECHANISMS[name], adapter)
    assert_equal(everything(whole), everything(resumed))
    if name in ("regeneration", "both"): assert sum(m["regen/groups"] for m in resumed.history[2:]) > 0, "a queue must have been taken over"
    if name == "replay": assert sum(m["replay/used"] for m in resumed.history[2:]) > 0, "successes must have been taken over"
    if name in ("novelty", "both"): assert sum(m["novelty/paid"] for m in resumed.history[2:]) > 0, "a memory must have been taken over"


@pytest.mark.parametrize("settings", [
    {"micro_batch_tokens": 40}, {"minibatch_problems": 2, "epochs": 2}, {"minibatch_problems": 1, "micro_batch_tokens": 40, "epochs": 2},
    {"kl_coef": 0.05, "micro_batch_tokens": 60}, {"lr_schedule": "cosine", "warmup_steps": 2}, {"dynamic_sampling": 2}, {"gradient_checkpointing": True},
    {"overlong_buffer": 6, "mask_truncated": True, "loss_average": "constant", "advantage_scale": "none"},
], ids=lambda s: ",".join(s))
def test_whatever_the_update_is_like(tmp_path, settings):
    whole, resumed = straight_and_resumed(tmp_path, MECHANISMS["both"], "lora" if "epochs" in settings else "none", **settings)
    assert_equal(everything(whole), everything(resumed))


@pytest.mark.skipif(not os.environ.get("EXTRA_NB_SLOW"), reason="a real model takes a minute: EXTRA_NB_SLOW=1 runs it")
def test_a_real_model_too(tmp_path):
    "SmolLM2-135M, the quickstart's model, in the arithmetic that is faster here: one step and one more are two."
    policy, problems = load_policy("smollm2-135m"), arithmetic(4, levels=(2, 2), seed=3)
    settings = {"steps": 2, "problems_per_step": 2, "group_size": 2, "max_new_tokens": 16, "lr": 1e-5, "verifier": EverySecond()}

    def real(out):
        mechanisms = [novelty(min_history=2), regeneration(start_step=0, per_step=1)]
        return trainer(tmp_path / out, mechanisms, policy=deepcopy(policy), problems=problems, **settings)

    whole = real("whole")
    whole.step(), whole.step()
    wanted = everything(whole)
    del whole
    first = real("parts")
    first.step(), first.save_checkpoint()
    del first
    second = real("parts")
    assert second.resume() == 1
    second.step()
    assert_equal(wanted, everything(second))
    assert all(m["optim/grad_norm"] > 0 for m in second.history) and not torch.equal(next(policy.model.parameters()), next(second.policy.model.parameters()))


@pytest.fixture(scope="module")
def both_at_a_stretch(tmp_path_factory): return everything(straight(tmp_path_factory.mktemp("both") / "whole", MECHANISMS["both"]))


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_after_any_number_of_steps(tmp_path, stop_after, both_at_a_stretch):
    assert_equal(both_at_a_stretch, everything(resumed_after(tmp_path, MECHANISMS["both"], stop_after=stop_after)))


def test_bf16_weights_and_dropout(tmp_path):
    "Moments in bf16, and a model that draws random numbers in training."
    def policy():
        p = tiny_policy()
        p.model.to(torch.bfloat16)
        for layer in p.model.model.layers: layer.self_attn.attention_dropout = 0.3
        return p

    ends = []
    for out, parts in (("whole", (4,)), ("parts", (2, 2))):
        for n, steps in enumerate(parts):
            torch.manual_seed(n)  # the state that a process happens to be in must not matter
            t = trainer(tmp_path / out, MECHANISMS["both"](), policy=policy(), gradient_checkpointing=True)
            if n: t.resume()
            for _ in range(steps): t.step()
            t.save_checkpoint()
        ends.append(everything(t))
    assert_equal(*ends)


class Stop(Exception): pass


POINTS = {  # where the third step is broken off -> whether the step leaves no trace in the trainer
    "plan": True, "sample": True, "judge": True, "advantage": True, "forward": True, "second forward": True, "optimiser": False, "second update": False,
    "first memory": False, "second memory": False, "metrics": True, "rollouts": True}


def break_off(t, point, monkeypatch):
    "Let the next step end at a point of it."
    def after(n, real):
        calls = []

        def call(*args, **kwargs):
            calls.append(1)
            if len(calls) > n: raise Stop
            return real(*args, **kwargs)
        return call

    where = {"plan": (t.stream, "next", 0), "sample": (t, "draw", 0), "judge": (t.verifier, "judge", 0),
             "advantage": (t.mechanisms[0], "advantage", 0), "forward": ("extra_nb.train.batch_loss", None, 0),
             "second forward": ("extra_nb.train.batch_loss", None, 1), "optimiser": (t.optimiser, "step", 0), "second update": (t.optimiser, "step", 1),
             "first memory": (t.mechanisms[0], "step_end", 0), "second memory": (t.mechanisms[1], "step_end", 0),
             "metrics": ("extra_nb.running.directory.append_line", None, 0), "rollouts": ("extra_nb.running.directory.rollout_record", None, 3)}
    target, name, n = where[point]
    if name is None:
        module, _, name = target.rpartition(".")
        target = importlib.import_module(module)
    monkeypatch.setattr(target, name, after(n, getattr(target, name)))


SMALL = {"micro_batch_tokens": 30, "minibatch_problems": 2}  # several micro-batches in each of two mini-batches


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    t = trainer(tmp_path_factory.mktemp("whole"), MECHANISMS["both"](), **SMALL)
    t.fit()
    return everything(t)


@pytest.mark.parametrize("point", POINTS)
def test_a_stop_at_any_point_of_a_step(tmp_path, monkeypatch, point, uninterrupted):
    t = trainer(tmp_path / "parts", MECHANISMS["both"](), checkpoint_every=1, **SMALL)
    t.step(), t.step()
    t.save_checkpoint()
    with monkeypatch.context() as patch:
        break_off(t, point, patch)
        with pytest.raises(Stop): t.step()
    if POINTS[point]:  # the trainer itself can go on
        if point not in ("metrics", "rollouts"): assert t.step_count == 2
        if point != "rollouts":
            t.fit()
            assert_equal(uninterrupted, everything(t))
    else:
        with pytest.raises(RunStopped, match="middle of its update"): t.step()
        with pytest.raises(RunStopped, match="no whole state"): t.save_checkpoint()
    again = trainer(tmp_path / "parts", MECHANISMS["both"](), **SMALL)
    again.resume()
    again.fit()
    assert_equal(uninterrupted, everything(again))


@pytest.mark.parametrize("point", ["sample", "second forward", "optimiser", "second memory", "rollouts"])
def test_fit_saves_what_is_whole_before_it_gives_up(tmp_path, monkeypatch, point, uninterrupted):
    t = trainer(tmp_path / "parts", MECHANISMS["both"](), checkpoint_every=0, **SMALL)
    t.step(), t.step()
    with monkeypatch.context() as patch:
        break_off(t, point, patch)
        with pytest.raises(RunStopped) as e: t.fit()
    assert "Stop" in str(e.value) and "\n" not in str(e.value)
    if not POINTS[point]:
        assert "there is no checkpoint yet" in str(e.value) and not checkpoints(tmp_path / "parts")
        return
    assert "calling its resume()" in str(e.value)
    again = trainer(tmp_path / "parts", MECHANISMS["both"](), **SMALL)
    assert again.resume() == (3 if point == "rollouts" else 2)
    again.fit()
    found = everything(again)
    if point == "rollouts":  # the records of this step could not be made, so there are none
        found[3]["step-000003.jsonl"] = uninterrupted[3]["step-000003.jsonl"]
        found[2].insert(2, uninterrupted[2][2])
    assert_equal(uninterrupted, found)


def test_random_numbers_of_the_surrounding_program_are_left_alone(tmp_path):
    def draws(): return [random.random(), np.random.rand(), torch.rand(()).item()]

    def seeded(): random.seed(1), np.random.seed(1), torch.manual_seed(1)

    seeded()
    before = draws()
    seeded()
    t = trainer(tmp_path, [Dice()])
    t.step()
    assert draws() == before
    with pytest.raises(Stop), fixed_randomness(1): raise Stop
    seeded()
    assert draws() == before


# ---- reload safety

@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    t = trainer(tmp_path_factory.mktemp("saved") / "run", MECHANISMS["both"]())
    t.step()
    t.save_checkpoint()
    return t.out


@pytest.fixture
def saved(tmp_path, saved_once): return Path(shutil.copytree(saved_once, tmp_path / "run"))


@pytest.mark.parametrize("other, words", [
    (lambda out: trainer(out, [novelty()]), ["its mechanisms are novelty (NoveltyBonus), regeneration (PrefixRegeneration), this run has novelty (NoveltyBonus)"]),
    (lambda out: trainer(out), ["this run has none"]),
    (lambda out: trainer(out, MECHANISMS["both"](), policy=tiny_policy(width=32)), ["its model is 'tiny', this run has one with other parameters"]),
    (lambda out: trainer(out, MECHANISMS["both"](), adapter="lora"), ["its model"]),
    (lambda out: trainer(out, MECHANISMS["both"](), problems=PROBLEMS[:-1]), ["it is about 10 problems, this run about 9"]),
    (lambda out: trainer(out, MECHANISMS["both"](), problems=PROBLEMS[::-1]), ["its 10 problems are others, or stand in another order"]),
    (lambda out: trainer(out, policy=tiny_policy(layers=1), problems=PROBLEMS[:5]), ["its model", "its mechanisms", "about 10 problems"]),
    (lambda out: trainer(out, [novelty(kind="ngram"), regeneration()]), ["novelty kind 'embedding'"]),
])
def test_what_does_not_fit_is_named_and_nothing_is_touched(saved, other, words):
    before = {p: p.read_bytes() for p in saved.rglob("*") if p.is_file()}
    t = other(saved)
    weights = [p.detach().clone() for p in t.policy.model.parameters()]
    with pytest.raises(InputError) as e: t.resume()
    assert all(w in str(e.value) for w in words) and "\n" not in str(e.value), str(e.value)
    for p, w in zip(t.policy.model.parameters(), weights): assert_close(p.detach(), w, atol=0, rtol=0)
    assert {p: p.read_bytes() for p in saved.rglob("*") if p.is_file()} == before


def test_vectors_belong_to_one_embedder(saved):
    "Of the same length, and of no use to each other."
    t = trainer(saved, [novelty(embedder=NgramEmbedder(n=4)), regeneration()])
    with pytest.raises(InputError) as e: t.resume()
    assert "the vectors in its novelty are by 3-grams of characters in 256 counters, this run has 4-grams of characters in 256 counters" in str(e.value)
    assert "regeneration" not in str(e.value)
    trainer(saved, [novelty(embedder=NgramEmbedder(256, 3)), regeneration()]).resume()
    for kind in ("ngram", "surprise"): assert novelty(kind=kind).fingerprint() == ""


def test_of_a_function_only_the_name_is_known_so_another_is_said(saved):
    def mine(texts): return NgramEmbedder()(texts)

    said = []
    t = trainer(saved, [novelty(), regeneration(embedder=mine)], say=said.append)
    said.clear()  # half of the groups are regenerated here, which was said at the beginning
    assert t.resume() == 1
    (line,) = said
    assert "regeneration" in line and "mine" in line and "3-grams" in line and "start anew" in line


def test_a_card_of_an_earlier_version_says_nothing_of_embedders(saved):
    path = last_checkpoint(saved) / "checkpoint.json"
    card = read_card(path.parent)
    del card["rests_on"]
    path.write_text(json.dumps(signed(card)))
    assert trainer(saved, [novelty(embedder=NgramEmbedder(n=4)), regeneration()]).resume() == 1


def test_an_adapter_belongs_to_one_base_model(tmp_path):
    t = trainer(tmp_path, adapter="lora")
    t.step()
    t.save_checkpoint()
    with pytest.raises(InputError, match="other parameters"): trainer(tmp_path, adapter="lora", seed=1).resume()


def test_what_is_merely_different_is_said(saved):
    said = []
    card = read_card(last_checkpoint(saved))
    card["versions"]["torch"] = "1.0"
    (last_checkpoint(saved) / "checkpoint.json").write_text(json.dumps(signed(card)))
    t = trainer(saved, MECHANISMS["both"](), lr=0.5, say=said.append)
    said.clear()  # half of the groups are regenerated here, which was said at the beginning
    assert t.resume() == 1
    assert "lr=0.5 (was 0.003)" in said[0] and "torch" in said[1] and "(was 1.0)" in said[1] and len(said) == 2
    said.clear()
    again = trainer(saved, MECHANISMS["both"](), lr=3e-3, say=said.append)
    said.clear()
    again.resume()
    assert len(said) == 1


def test_another_format_is_refused_with_the_version_that_made_it(saved):
    path = last_checkpoint(saved) / "checkpoint.json"
    path.write_text(json.dumps(signed({**read_card(path.parent), "format": 99})))
    with pytest.raises(InputError, match="format is 99 and this version reads 2; it was made by extra_nb"): trainer(saved, MECHANISMS["both"]()).resume()


def test_nothing_in_a_checkpoint_is_executed_on_load(saved):
    for p in last_checkpoint(saved).rglob("*"):
        if p.is_file(): assert p.suffix in (".json", ".safetensors", ".jinja", ".md"), p
    for p in last_checkpoint(saved).rglob("*.safetensors"): load_file(p)


@pytest.mark.parametrize("hurt", [
    lambda f: (f / "state.safetensors").write_bytes((f / "state.safetensors").read_bytes()[:-1]), lambda f: (f / "state.json").unlink(),
    lambda f: (f / "checkpoint.json").write_text('{"half'), lambda f: (f / "checkpoint.json").write_text("[]"), lambda f: (f / "model" / "config.json").unlink(),
])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, hurt):
    whole = trainer(tmp_path / "whole", MECHANISMS["both"]())
    whole.fit()
    t = trainer(tmp_path / "run", MECHANISMS["both"](), checkpoint_every=1)
    for _ in range(3): t.step(), t.save_checkpoint()
    hurt(checkpoints(tmp_path / "run")[-1])
    said = []
    again = trainer(tmp_path / "run", MECHANISMS["both"](), say=said.append)
    assert again.resume() == 2
    assert any("step-000003 is damaged" in line for line in said)
    again.fit()
    assert_equal(everything(whole), everything(again))
    for folder in checkpoints(tmp_path / "run"): assert damage(folder) is None


def flip(path, at):
    "Change one bit of a file; its size stays."
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def without_sums(folder):
    "Make of a checkpoint one as earlier versions wrote it."
    card = {k: v for k, v in read_card(folder).items() if k not in ("sums", "sum")}
    (folder / "checkpoint.json").write_text(json.dumps(card, indent=1))


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    "A run with two checkpoints."
    out = tmp_path_factory.mktemp("twice") / "run"
    t = trainer(out, MECHANISMS["both"]())
    for _ in range(2): t.step(), t.save_checkpoint()
    return out


@pytest.mark.parametrize("name, at", [("model/model.safetensors", -2), ("model/model.safetensors", 3), ("state.safetensors", -2), ("state.safetensors", 0),
                                      ("state.json", 20), ("model/config.json", 30), ("model/tokenizer.json", 40), ("checkpoint.json", 30)])
def test_one_changed_byte_is_named_and_passed_over(twice, tmp_path, name, at):
    run = tmp_path / "run"
    shutil.copytree(twice, run)
    last = checkpoints(run)[-1]
    flip(last / name, at)
    assert damage(last) == f"{name} is not what was written: its checksum differs" or name == "checkpoint.json" and "that can be read" in damage(last)
    with pytest.raises(InputError, match=f"is damaged: .*{name}") as e: last_checkpoint(last)
    assert "\n" not in str(e.value)
    said = []
    again = trainer(run, MECHANISMS["both"](), say=said.append)
    said.clear()
    assert again.resume() == 1
    assert [line for line in said if "step-000002 is damaged" in line and name in line and "going on from step-000001" in line] == said
    assert checkpoints(run) == [run / "checkpoints" / "step-000001"]


def test_every_file_of_a_checkpoint_has_a_checksum(twice):
    folder = checkpoints(twice)[-1]
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"checkpoint.json"}
    assert set(read_card(folder)["sums"]) == set(read_card(folder)["files"]) == files
    for name in files: assert read_card(folder)["sums"][name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_no_changed_byte_of_the_card_goes_unnoticed(twice, tmp_path):
    "Whatever byte it is, the card is damaged or says the same."
    text, card = (checkpoints(twice)[-1] / "checkpoint.json").read_bytes(), read_card(checkpoints(twice)[-1])
    noticed, places = 0, range(1, len(text), 3)
    names = {text.find(b'"sum'), text.find(b'"sums'), text.find(b'"format')}
    for at in {*places, *(i + d for i in names for d in range(12))}:
        (tmp_path / "checkpoint.json").write_bytes(text[:at] + bytes([text[at] ^ (1, 2, 32)[at % 7 % 3]]) + text[at + 1 :])
        fault = damage(tmp_path, contents=False)
        assert fault is not None and "missing" not in fault or read_card(tmp_path) == card, text[max(0, at - 20) : at + 20]
        noticed += "missing" not in (fault or "missing")
    assert noticed > 0.7 * len(places)  # the rest is space between words


@pytest.mark.parametrize("hurt", [False, True])
def test_a_checkpoint_without_checksums_is_accepted_and_that_is_said(twice, tmp_path, hurt):
    run, said = tmp_path / "run", []
    shutil.copytree(twice, run)
    for folder in checkpoints(run): without_sums(folder)
    if hurt: (checkpoints(run)[-1] / "state.json").write_text("{")  # sizes are looked at as before
    again = trainer(run, MECHANISMS["both"](), say=said.append)
    said.clear()
    assert again.resume() == (1 if hurt else 2)
    assert sum("only the sizes of its files could be checked" in line for line in said) == 1 and len(said) == 1 + hurt


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_one_changed_byte_in_the_reference_is_named(tmp_path, adapter):
    t = trainer(tmp_path, adapter=adapter, kl_coef=0.1)
    t.step(), t.save_checkpoint()
    trainer(tmp_path, adapter=adapter, kl_coef=0.1).resume()
    (weights,) = (tmp_path / "reference").glob("*.safetensors")
    flip(weights, -2)
    with pytest.raises(InputError, match=f"reference.*is damaged.*{weights.name} is not what was written"): trainer(tmp_path, adapter=adapter, kl_coef=0.1).resume()
    (tmp_path / "reference" / "checkpoint.json").unlink()  # as earlier versions left it
    assert trainer(tmp_path, adapter=adapter, kl_coef=0.1).resume() == 1


def test_older_checkpoints_are_not_read_while_the_newest_is_whole(twice, monkeypatch):
    from extra_nb.running import checkpoints as room

    read = []
    monkeypatch.setattr(room, "checksum", lambda path: read.append(path) or hashlib.sha256(path.read_bytes()).hexdigest())
    assert last_checkpoint(twice).name == "step-000002" and {p.relative_to(twice).parts[1] for p in read} == {"step-000002"}
    read.clear()
    assert last_checkpoint(twice, contents=False).name == "step-000002" and not read


def test_where_all_are_damaged_it_is_said(saved):
    (last_checkpoint(saved) / "state.json").unlink()
    with pytest.raises(InputError, match="step-000001 is damaged: state.json is missing"): trainer(saved, MECHANISMS["both"]()).resume()
    with pytest.raises(InputError, match="is damaged: state.json is missing"): last_checkpoint(saved / "checkpoints" / "step-000001")


def test_going_back_to_an_earlier_checkpoint_forgets_the_later_ones(tmp_path):
    t = trainer(tmp_path, checkpoint_every=1, keep_checkpoints=4)
    t.fit()
    again = trainer(tmp_path, keep_checkpoints=1)
    assert again.resume(tmp_path / "checkpoints" / "step-000002") == 2
    assert [p.name for p in checkpoints(tmp_path)] == ["step-000001", "step-000002"]
    again.step(), again.save_checkpoint()
    assert [p.name for p in checkpoints(tmp_path)] == ["step-000003"]  # the newest, not the one with the highest number of old


def test_a_directory_that_holds_a_run_is_not_written_over(saved):
    before = (saved / "config.json").read_bytes()
    t = trainer(saved, lr=0.5)
    with pytest.raises(InputError, match="holds a run already"): t.step()
    with pytest.raises(InputError, match="holds a run already"): t.save_checkpoint()
    assert (saved / "config.json").read_bytes() == before


def test_a_finished_run_that_is_resumed_is_left_as_it_is(tmp_path):
    trainer(tmp_path, checkpoint_every=2).fit()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "checkpoints").rglob("*")}
    again = trainer(tmp_path)
    assert again.resume() == 4
    again.fit()
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "checkpoints").rglob("*")} == before


# ---- files

def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    for step in (1, 2): write_checkpoint(tmp_path, step, lambda f: write_state(f, {}), {})
    folder = tmp_path / "checkpoints"
    (folder / ".step-000003.part").mkdir()
    (folder / ".step-000003.part" / "state.json").write_text("{")
    (folder / ".step-000000.gone").mkdir()
    (folder / "step-000002").rename(folder / ".step-000002.old")  # killed between the two renames
    tidy(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["step-000001", "step-000002"]
    assert damage(folder / "step-000002") is None
    (folder / ".step-000002.old").mkdir()  # killed after them
    tidy(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["step-000001", "step-000002"] and damage(folder / "step-000002") is None
    tidy(tmp_path / "nowhere")


def test_a_checkpoint_is_replaced_whole(tmp_path):
    write_checkpoint(tmp_path, 1, lambda f: write_state(f, {"a": 1}), {})
    with pytest.raises(Stop): write_checkpoint(tmp_path, 1, lambda f: (_ for _ in ()).throw(Stop()), {})
    assert read_state(last_checkpoint(tmp_path)) == {"a": 1}
    write_checkpoint(tmp_path, 1, lambda f: write_state(f, {"a": 2}), {})
    assert read_state(last_checkpoint(tmp_path)) == {"a": 2} and [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]


def test_checkpoints_are_ordered_by_number(tmp_path):
    for step in (999_999, 1_000_000, 5): write_checkpoint(tmp_path, step, lambda f: write_state(f, {}), {})
    (tmp_path / "checkpoints" / "step-mine").mkdir()
    assert [p.name for p in checkpoints(tmp_path)] == ["step-000005", "step-999999", "step-1000000"]
    discard(last_checkpoint(tmp_path))
    assert last_checkpoint(tmp_path).name == "step-999999"


def test_lines_are_appended_whole(tmp_path):
    for text in ("a", "é" * 3, ""): append_line(tmp_path / "log", text)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "a\nééé\n\n"


# ---- which checkpoints stay

def marked(run, scores):
    for step, score in scores.items(): write_checkpoint(run, step, lambda f: write_state(f, {"step": step}), {"score": score})


@pytest.mark.parametrize("scores, keep, gone", [
    ({1: 0.1, 2: 0.9, 3: 0.2, 4: 0.3}, 1, [1, 3]), ({1: 0.1, 2: 0.9, 3: 0.2, 4: 0.3}, 2, [1]), ({1: 0.1, 2: 0.2, 3: 0.9}, 1, [1, 2]),
    ({0: None, 1: None, 2: None}, 2, [0]), ({1: 0.5, 2: 0.5, 3: 0.5, 4: 0.1}, 1, [2, 3]), ({1: 0.3}, 1, []),
])
def test_the_last_and_the_best_checkpoint_stay(tmp_path, scores, keep, gone):
    marked(tmp_path, scores)
    assert outdated(tmp_path, keep) == [tmp_path / "checkpoints" / f"step-{n:06d}" for n in gone]


def test_a_run_that_gets_worse_keeps_its_best_days_over_a_resume(tmp_path):
    class Fading:
        def judge(self, problems, responses):
            right = [stable_hash(r) % 8 < max(0, 12 - t.step_count) // 2 for r in responses]
            return [Verdict(r, "correct" if r else "wrong") for r in right]

    t = trainer(tmp_path, verifier=Fading(), steps=9, checkpoint_every=1, keep_checkpoints=1, max_new_tokens=4)
    t.fit()
    kept = [p.name for p in checkpoints(tmp_path)]
    best = max(checkpoints(tmp_path), key=lambda p: read_card(p)["score"])
    assert len(kept) == 2 and kept[-1] == "step-000009" and best.name == kept[0]
    scores = [sum(m["reward/mean"] for m in t.history[n - 5 : n]) / 5 for n in range(5, 10)]
    assert best.name == f"step-{5 + scores.index(max(scores)):06d}"
    t = trainer(tmp_path, verifier=Fading(), steps=11, checkpoint_every=1, keep_checkpoints=1, max_new_tokens=4)
    t.resume(), t.fit()
    assert [p.name for p in checkpoints(tmp_path)] == [best.name, "step-000011"]


def test_tidying_touches_nothing_that_is_not_ours(tmp_path):
    "Somebody may give the folder they work in as the run directory."
    foreign = [".env.old", ".notes.part", ".gone", ".step-x.old", ".config.yaml.part"]
    ours = [".config.json.part", ".step-000003.part", ".step-000002.gone", ".reference.part", ".step-000001.jsonl.part"]
    for name in foreign + ours: (tmp_path / name).write_text("x")
    (tmp_path / ".step-000004.old").mkdir()
    tidy(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*foreign, "step-000004"])


@pytest.mark.parametrize("hurt, words", [
    (lambda f: (f / "checkpoint.json").write_text(json.dumps(signed({**read_card(f), "files": None}))), "does not list its files"),
    (lambda f: (f / "checkpoint.json").write_text(json.dumps(signed({k: v for k, v in read_card(f).items() if k != "problems"}))), "does not say problems"),
    (lambda f: (without_sums(f), (f / "state.json").write_text("x" * (f / "state.json").stat().st_size)), "cannot be read"),
    (lambda f: (without_sums(f), (f / "state.safetensors").write_bytes(bytes((f / "state.safetensors").stat().st_size))), "cannot be read"),
])
def test_a_card_or_a_state_that_makes_no_sense_is_one_line(saved, hurt, words):
    hurt(last_checkpoint(saved))
    with pytest.raises(InputError, match=words) as e: trainer(saved, MECHANISMS["both"]()).resume()
    assert "\n" not in str(e.value)
