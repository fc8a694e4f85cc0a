"Adapters that were saved: trained on, merged, or refused in one line."
import json
import shutil

import pytest
import torch
from families import COMMON, DEEPSEEK, FORGETFUL, GPT, MOE, RUN, command, edit, gradient, load, logits, refused, reweigh, rollouts_of, saved
from torch.testing import assert_close

from extra_nb.cli import eval_main, train_main


def learned(path, **kwargs):
    "A policy with an adapter that has learned something, saved."
    policy, _ = load(path, adapter="lora", **{"lora_rank": 4, "lora_alpha": 8.0, **kwargs})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for n, p in policy.model.named_parameters():
            if "lora_B" in n: p.normal_(0, 0.2, generator=generator)
    return policy


BASES = {"llama": ("Llama", COMMON), "tied": ("Llama", dict(COMMON, tie_word_embeddings=True)), "gpt2": ("GPT2", GPT), "falcon": FORGETFUL["falcon"],
         "deepseek_v3": ("DeepseekV3", DEEPSEEK), "mixtral": FORGETFUL["mixtral"], "qwen3_moe": ("Qwen3Moe", dict(COMMON, head_dim=16, **MOE)), "phimoe": FORGETFUL["phimoe"]}


@pytest.mark.parametrize("base", [*BASES, "tiny"])
def test_training_goes_on_from_a_saved_adapter(base, tmp_path):
    start = "tiny" if base == "tiny" else saved(tmp_path / "base", *BASES[base])
    first = learned(start, seed=3)
    first.save(tmp_path / "adapter")
    on, said = load(tmp_path / "adapter", adapter="lora", seed=9)
    assert_close(logits(on), logits(first), atol=0, rtol=0)
    assert "goes on from its adapter (LoRA of rank 4, alpha 8)" in said and "lora_rank=16 and lora_alpha=32 are for new adapters" in said
    assert {n for n, p in on.model.named_parameters() if p.requires_grad} == {n for n, p in first.model.named_parameters() if p.requires_grad}
    with on.reference(): assert_close(logits(on), logits(first), atol=0, rtol=0)  # the KL of this run is measured from where it begins
    gradient(on, rollouts_of(on))
    on.save(tmp_path / "second")
    third, _ = load(tmp_path / "second", adapter="lora", lora_rank=4, lora_alpha=8.0)
    assert_close(logits(third), logits(first), atol=0, rtol=0)


@pytest.mark.parametrize("base", [*BASES, "tiny"])
def test_a_saved_adapter_is_merged(base, tmp_path):
    start = "tiny" if base == "tiny" else saved(tmp_path / "base", *BASES[base])
    first = learned(start, seed=3)
    first.save(tmp_path / "adapter")
    flat, said = load(tmp_path / "adapter", seed=9)
    assert "is merged into" in said and "fp32" in said and not hasattr(flat.model, "disable_adapter")
    assert_close(logits(flat), logits(first), atol=1e-4, rtol=1e-4)
    assert all(p.requires_grad for p in flat.model.parameters())
    flat.save(tmp_path / "flat")
    again, said = load(tmp_path / "flat")
    assert_close(logits(again), logits(first), atol=1e-4, rtol=1e-4)
    assert not said and not (tmp_path / "flat" / "adapter_config.json").exists()
    flat.keep_reference()
    flat.load(tmp_path / "flat")
    anew, said = load(tmp_path / "flat", adapter="lora")  # a new adapter over what was learned
    assert "goes on" not in said and "LoRA of rank 16" in said
    assert_close(logits(anew), logits(first), atol=1e-4, rtol=1e-4)


def test_an_adapter_over_an_adapter(tmp_path):
    "A base that is itself a saved adapter is merged first."
    first = learned("tiny")
    first.save(tmp_path / "first")
    second, _ = load(tmp_path / "first", adapter="lora")
    second.save(tmp_path / "second")
    edit(tmp_path / "second" / "adapter_config.json", base_model_name_or_path=str(tmp_path / "first"))
    twice, said = load(tmp_path / "second", adapter="lora")
    assert "merged into tiny" in said and (logits(twice) - logits(first)).abs().max() > 1e-3


def test_qlora_goes_on_too(tmp_path):
    saved(tmp_path / "base", settings=dict(COMMON, hidden_size=64))
    first, _ = load(tmp_path / "base", adapter="qlora", lora_rank=4)
    with torch.no_grad():
        for n, p in first.model.named_parameters():
            if "lora_B" in n: p.normal_(0, 0.2, generator=torch.Generator().manual_seed(0))
    first.save(tmp_path / "adapter")
    on, said = load(tmp_path / "adapter", adapter="qlora")
    assert_close(logits(on), logits(first)), load(tmp_path / "adapter", adapter="lora"), load(tmp_path / "adapter")
    assert "goes on from its adapter" in said
    assert "Linear4bit" in {type(m).__name__ for m in on.base.modules()}


@pytest.mark.parametrize("where", ["model", "checkpoints/step-1/model"])
def test_adapters_that_name_no_base_are_understood_by_their_run(where, tmp_path):
    "Folders from before the base was recorded."
    first = learned("tiny", seed=4)
    first.save(tmp_path / where)
    (tmp_path / "config.json").write_text(json.dumps({"model": "tiny", "seed": 4}))
    edit(tmp_path / where / "adapter_config.json", base_model_name_or_path="", revision=None)
    on, said = load(tmp_path / where, adapter="lora")
    assert "over tiny" in said
    assert_close(logits(on), logits(first), atol=0, rtol=0)


def test_adapters_that_name_no_base_are_understood_by_their_size(tmp_path):
    first = learned("tiny")
    first.save(tmp_path / "a")
    edit(tmp_path / "a" / "adapter_config.json", base_model_name_or_path=None)
    assert_close(logits(load(tmp_path / "a")[0]), logits(first), atol=1e-5, rtol=1e-5)
    second = learned(saved(tmp_path / "base"))
    second.save(tmp_path / "b")
    edit(tmp_path / "b" / "adapter_config.json", base_model_name_or_path=None)
    refused(tmp_path / "b", "does not say which model")


def test_a_base_is_recorded_so_that_it_is_found_from_everywhere(tmp_path, monkeypatch):
    saved(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    first = learned("base")
    first.save("adapter")
    monkeypatch.chdir("/")
    assert_close(logits(load(tmp_path / "adapter", adapter="lora")[0]), logits(first), atol=0, rtol=0)
    for seed, revision in ((0, None), (5, "seed 5")):
        learned("tiny", seed=seed).save(tmp_path / "tiny")
        config = json.loads((tmp_path / "tiny" / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == "tiny" and config["revision"] == revision


def test_the_tokenizer_comes_from_the_adapter(tmp_path):
    saved(tmp_path / "base")
    first = learned(tmp_path / "base")
    first.tokenizer.chat_template = "{% for m in messages %}<{{ m.content }}>{% endfor %}"
    first.save(tmp_path / "adapter")
    assert load(tmp_path / "adapter")[0].template == load(tmp_path / "adapter", adapter="lora")[0].template == "chat"
    for f in (tmp_path / "adapter").glob("tokenizer*"): f.unlink()
    shutil.rmtree(tmp_path / "adapter" / "x", ignore_errors=True), (tmp_path / "adapter" / "chat_template.jinja").unlink(missing_ok=True)
    assert load(tmp_path / "adapter")[0].template == "plain"


def less(weights): weights.pop(sorted(weights)[0])
def more(weights): weights["base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight"] = torch.zeros(4, 32)
def torn(weights): weights[sorted(weights)[0]].fill_(float("nan"))


ADAPTER_FAULTS = {
    "moved base": (lambda f: edit(f / "adapter_config.json", base_model_name_or_path="/nowhere/base"), ["/nowhere/base", "no such folder", "adapter_config.json"]),
    "base on a hub out of reach": (lambda f: edit(f / "adapter_config.json", base_model_name_or_path="no-such-owner/base"), ["no-such-owner/base"]),
    "base of another size": (lambda f: edit(f / "adapter_config.json", base_model_name_or_path="tiny"), ["size"]),
    "itself as base": (lambda f: edit(f / "adapter_config.json", base_model_name_or_path=str(f)), ["names itself"]),
    "a weight less": (lambda f: reweigh(f / "adapter_model.safetensors", less), ["lacks 1 weight", "lora_A"]),
    "a weight more": (lambda f: reweigh(f / "adapter_model.safetensors", more), ["no place", "layers.9"]),
    "nan": (lambda f: reweigh(f / "adapter_model.safetensors", torn), ["nan", "lora_A"]),
    "torn file": (lambda f: (f / "adapter_model.safetensors").write_bytes(b"12345678901"), ["cut short"]),
    "no weights": (lambda f: (f / "adapter_model.safetensors").unlink(), ["no adapter_model.safetensors"]),
    "half a config": (lambda f: (f / "adapter_config.json").write_text("{"), []),
    "another rank": (lambda f: edit(f / "adapter_config.json", r=7), ["size"]),
    "a whole model beside it": (lambda f: (f / "config.json").write_text("{}"), ["a model and an adapter"]),
    "a prompt": (lambda f: (f / "adapter_config.json").write_text(json.dumps(dict(peft_type="PROMPT_TUNING", task_type="CAUSAL_LM", num_virtual_tokens=4,
                                                                                  base_model_name_or_path="tiny"))), ["PROMPT_TUNING"]),
}


@pytest.mark.parametrize("adapter", ["none", "lora"])
@pytest.mark.parametrize("fault", ADAPTER_FAULTS)
def test_an_adapter_that_cannot_be_used_is_one_line(fault, adapter, tmp_path):
    learned(saved(tmp_path / "base")).save(tmp_path / "adapter")
    change, words = ADAPTER_FAULTS[fault]
    change(tmp_path / "adapter")
    refused(tmp_path / "adapter", *words, adapter=adapter)


def test_layers_that_are_shared_are_not_merged(tmp_path):
    "The same module at two places would be merged twice; what comes out is compared with what went in."
    settings = dict(COMMON, num_hidden_layers=4, hybrid_layer_ids=[1, 3], mamba_d_state=8, mamba_headdim=8, n_mamba_heads=8, mamba_ngroups=1, mamba_expand=2,
                    chunk_size=8, layers_block_type=["mamba", "hybrid", "mamba", "hybrid"])
    learned(saved(tmp_path / "base", "Zamba2", settings)).save(tmp_path / "adapter")
    refused(tmp_path / "adapter", "cannot be merged", "--adapter lora")


def test_commands_go_on_from_an_adapter(tmp_path, capsys):
    first, second, third = (str(tmp_path / n) for n in ("first", "second", "third"))
    status, said = command(train_main, *RUN, "--adapter", "lora", "--lora-rank", "4", "--out", first, "--warm-start-steps", "3", capsys=capsys)
    assert status == 0 and "LoRA of rank 4 on q_proj" in said
    status, said = command(train_main, *RUN, "--model", f"{first}/model", "--adapter", "lora", "--kl-coef", "0.1", "--out", second, capsys=capsys)
    assert status == 0 and "goes on from its adapter" in said and "lora_rank=16 and lora_alpha=32" not in said.replace("alpha 32", "")
    metrics = json.loads((tmp_path / "second" / "metrics.jsonl").read_text().splitlines()[0])
    assert metrics["loss/logprob_drift"] < 1e-4 and abs(metrics["loss/kl"]) < 1e-6, "the reference is where the run begins"
    status, said = command(train_main, *RUN, "--resume", second, "--steps", "2", capsys=capsys)
    assert status == 0 and "resuming after step 1" in said
    status, said = command(train_main, *RUN, "--model", f"{second}/model", "--out", third, capsys=capsys)
    assert status == 0 and "is merged into tiny" in said and (tmp_path / "third" / "model" / "model.safetensors").exists()
    status, said = command(eval_main, "--model", f"{second}/model", "--problems", "arithmetic:2", "--limit", "2", "--samples", "2", "--k", "1", "--max-new-tokens", "4",
                           "--out", str(tmp_path / "eval"), capsys=capsys)
    assert status == 0 and "is merged into tiny" in said
