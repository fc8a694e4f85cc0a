"What is loaded is whole, is what was meant, and computes the same in every mode; anything else is one line."
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import policies
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from extra_nb.cli import eval_main, train_main
from extra_nb.models.loading import add_lora, expert_layers, lora_sentence, routers, unfit_layers
from extra_nb.policy import Policy, load_policy, recompute_activations, tiny_policy, tiny_tokenizer
from extra_nb.sampler import replay, sample, score
from extra_nb.tasks import arithmetic, worked_solution
from extra_nb.train import Trainer, warm_start
from extra_nb.types import InputError, Problem, Request, Verdict

TOKENIZER, IDS = tiny_tokenizer(), torch.tensor([[7, 14, 9, 20, 11]])
ROWS = len(TOKENIZER)
COMMON = dict(vocab_size=ROWS, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=128, bos_token_id=None, eos_token_id=0, pad_token_id=1)
MOE = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24)
GPT = dict(vocab_size=ROWS, n_embd=32, n_layer=2, n_head=4, n_positions=128, bos_token_id=None, eos_token_id=0)
DEEPSEEK = dict(COMMON, num_key_value_heads=4, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, first_k_dense_replace=1, n_shared_experts=1,
                n_group=1, topk_group=1, q_lora_rank=16, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=8)
SMALL = {k: v for k, v in COMMON.items() if k != "num_key_value_heads"}
# Models with as many kinds of dropout and jitter as they have, above all such as apply it as a function
FORGETFUL = {
    "gpt2": ("GPT2", dict(GPT, resid_pdrop=0.3, embd_pdrop=0.3, attn_pdrop=0.3)),
    "gpt_bigcode": ("GPTBigCode", dict(GPT, resid_pdrop=0.3, embd_pdrop=0.3, attn_pdrop=0.3)),
    "mixtral": ("Mixtral", dict(COMMON, num_local_experts=4, num_experts_per_tok=2, router_jitter_noise=0.3, attention_dropout=0.3, sliding_window=None)),
    "starcoder2": ("Starcoder2", dict(COMMON, attention_dropout=0.3, residual_dropout=0.3, embedding_dropout=0.3, sliding_window=None)),
    "phi": ("Phi", dict(COMMON, num_key_value_heads=4, resid_pdrop=0.3, embd_pdrop=0.3, attention_dropout=0.3)),
    "opt": ("OPT", dict(SMALL, ffn_dim=64, word_embed_proj_dim=32, dropout=0.3, attention_dropout=0.3, layerdrop=0.3)),
    "falcon": ("Falcon", dict(vocab_size=ROWS, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, hidden_dropout=0.3, attention_dropout=0.3,
                              bos_token_id=None, eos_token_id=0)),
    "gpt_neox": ("GPTNeoX", dict(SMALL, hidden_dropout=0.3, attention_dropout=0.3)),
    "bloom": ("Bloom", dict(vocab_size=ROWS, hidden_size=32, n_layer=2, n_head=4, hidden_dropout=0.3, attention_dropout=0.3, eos_token_id=0, bos_token_id=None)),
    "gptj": ("GPTJ", dict(GPT, rotary_dim=4, resid_pdrop=0.3, embd_pdrop=0.3, attn_pdrop=0.3)),
    "phimoe": ("Phimoe", dict(COMMON, num_local_experts=4, num_experts_per_tok=2, input_jitter_noise=0.3, router_jitter_noise=0.3, sliding_window=None)),
    "gpt_neo": ("GPTNeo", dict(vocab_size=ROWS, hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=8,
                               max_position_embeddings=128, resid_dropout=0.3, embed_dropout=0.3, attention_dropout=0.3, bos_token_id=None, eos_token_id=0)),
}


def model_of(family: str, settings: dict, kind: str = "ForCausalLM", seed: int = 0):
    name = {"GPT2ForCausalLM": "GPT2LMHeadModel"}.get(family + kind, family + kind)
    torch.manual_seed(seed)
    model = getattr(transformers, name)(getattr(transformers, f"{family}Config")(**settings))
    model.generation_config = transformers.GenerationConfig(eos_token_id=0, pad_token_id=1)
    return model.eval()


def saved(folder, family="Llama", settings=None, kind="ForCausalLM", **more):
    model_of(family, dict(COMMON, tie_word_embeddings=False, **more) if settings is None else settings, kind).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path): return saved(tmp_path / "model")


def load(path, **kwargs):
    said = []
    return load_policy(str(path), **{"compute": "fp32", "device": "cpu", "say": said.append, **kwargs}), " | ".join(said)


def refused(path, *words, **kwargs):
    "The one line that answers, which names the folder and these words."
    with pytest.raises(InputError) as e: load(path, **kwargs)
    assert "\n" not in str(e.value) and str(path) in str(e.value)
    for word in words: assert word in str(e.value), str(e.value)
    return str(e.value)


def edit(path: Path, **changes): path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def reweigh(path: Path, change):
    weights = load_file(path)
    change(weights)
    save_file(weights, path, {"format": "pt"})


def command(main, *argv, capsys):
    "Exit status and all that was said."
    status = main(list(argv))
    out = capsys.readouterr()
    return status, out.out + out.err


RUN = ["--preset", "tiny", "--steps", "1", "--train-problems", "8", "--problems-per-step", "4", "--group-size", "4", "--max-new-tokens", "8",
       "--warm-start-steps", "0", "--heldout", "0", "--mechanisms", "none", "--no-report", "--verifier-workers", "1", "--checkpoint-every", "0"]


# ---- evaluation mode

def rollouts_of(policy): return list(sample(policy, [Request(Problem("a", "3+5", "8")), Request(Problem("b", "12+5", "17"))], 2, max_new_tokens=8)[0])


def gradient(policy, rollouts):
    policy.model.zero_grad()
    logprobs, _ = score(policy, rollouts, share_contexts=False)
    logprobs.sum().backward()
    return logprobs.detach(), {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("name", FORGETFUL)
def test_activations_are_recomputed_without_dropout(name, adapter, monkeypatch):
    policy = Policy(add_lora(model_of(*FORGETFUL[name]), 4, 8.0, False, 0) if adapter else model_of(*FORGETFUL[name]), TOKENIZER, template="plain")
    if adapter:
        for n, m in policy.model.named_modules():
            if n.endswith("lora_dropout"): m["default"] = torch.nn.Dropout(0.3).eval()
    rollouts = rollouts_of(policy)
    usual, grads = gradient(policy, rollouts)
    entered, checkpoint = [], torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(torch.utils.checkpoint, "checkpoint", lambda *args, **kwargs: entered.append(1) or checkpoint(*args, **kwargs))
    recompute_activations(policy.model)
    policy.model.train()  # whatever somebody calls
    logprobs, again = gradient(policy, rollouts)
    assert len(entered) == 2
    assert_close(logprobs, torch.cat([r.logprobs for r in rollouts]), atol=1e-4, rtol=0)
    assert_close(logprobs, usual, atol=1e-5, rtol=0)
    assert again.keys() == grads.keys()
    for n in grads: assert_close(again[n], grads[n], atol=1e-5, rtol=1e-4)


def test_recomputing_keeps_less():
    "What autograd keeps between the passes, in bytes."
    policy, kept = tiny_policy(layers=6), {}

    def held(tensor):
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    def total():
        kept.clear()
        ids = torch.randint(4, 60, (8, 64), generator=torch.Generator().manual_seed(0))
        with torch.autograd.graph.saved_tensors_hooks(held, lambda t: t):
            loss = policy.model(input_ids=ids, use_cache=False).logits.logsumexp(-1).sum()
            size = sum(kept.values())
        loss.backward()
        return size

    usual = total()
    recompute_activations(policy.model)
    assert total() < usual / 2


def test_a_copy_recomputes_its_own_layers():
    from copy import deepcopy

    policy = tiny_policy()
    recompute_activations(policy.model)
    other = deepcopy(policy.model)
    with torch.no_grad():
        for p in other.model.layers.parameters(): p.mul_(2)
    other(IDS).logits.sum().backward()
    assert all(p.grad is not None for p in other.model.layers.parameters()) and all(p.grad is None for p in policy.model.parameters())
    assert (other(IDS).logits - policy.model(IDS).logits).abs().max() > 1e-3


def test_a_model_that_transformers_cannot_checkpoint():
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, x): return torch.nn.functional.dropout(self.linear(x), 0.5, self.training)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList(Block() for _ in range(3))

        def activation_checkpointing_enable(self, kwargs): raise ValueError("not supported")

        def forward(self, x):
            for block in self.blocks: x = block(x)
            return x

    model, x = Model(), torch.ones(1, 4)
    recompute_activations(model)
    assert_close(model(x), model.train()(x))
    with pytest.raises(InputError, match="list of layers"): recompute_activations(torch.nn.Linear(2, 2))


class Judge:
    def judge(self, problems, responses): return [Verdict(i % 2 == 0, "wrong" if i % 2 else "correct") for i in range(len(responses))]


@pytest.mark.parametrize("name", ["gpt2", "mixtral", "starcoder2"])
def test_the_first_step_starts_where_it_sampled(name):
    policy = Policy(model_of(*FORGETFUL[name]), TOKENIZER, template="plain")
    trainer = Trainer(policy, arithmetic(4, (2, 2)), verifier=Judge(), say=None, steps=1, problems_per_step=4, group_size=4, max_new_tokens=8, gradient_checkpointing=True)
    assert trainer.step()["loss/logprob_drift"] < 1e-4


@pytest.mark.parametrize("name", ["gpt2", "starcoder2"])
def test_a_policy_with_an_adapter_samples_what_it_scores(name, tmp_path):
    policy, _ = load(saved(tmp_path, *FORGETFUL[name]), adapter="lora")
    assert not any(m.training for m in policy.model.modules())
    rollout = rollouts_of(policy)[0]
    assert_close(replay(policy, rollout)[0], rollout.logprobs, atol=1e-4, rtol=0)
    assert not any(m.training for m in policy.model.modules())


def test_a_model_in_training_mode_becomes_a_policy_in_evaluation_mode():
    assert not any(m.training for m in Policy(model_of(*FORGETFUL["gpt2"]).train(), TOKENIZER, template="plain").model.modules())


def test_equal_warm_starts_with_an_adapter_end_alike(tmp_path):
    saved(tmp_path, *FORGETFUL["gpt2"])

    def end(state):
        torch.manual_seed(state)  # what the process happened to do before must not matter
        policy, _ = load(tmp_path, adapter="lora", lora_rank=4)
        warm_start(policy, [(p, worked_solution(p)) for p in arithmetic(4, (2, 2))], 3, 4, 1e-2)
        return {n: p for n, p in policy.model.named_parameters() if p.requires_grad}

    one, other = end(0), end(1)
    for n in one: assert_close(one[n], other[n], atol=0, rtol=0)


# ---- adapters that were saved

def learned(path, **kwargs):
    "A policy with an adapter that has learned something, saved."
    policy, _ = load(path, adapter="lora", **{"lora_rank": 4, "lora_alpha": 8.0, **kwargs})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for n, p in policy.model.named_parameters():
            if "lora_B" in n: p.normal_(0, 0.2, generator=generator)
    return policy


def logits(policy): return policy.model(IDS).logits


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


# ---- LoRA says what it adapts

@pytest.mark.parametrize("name, words", [
    ("gpt2", ["c_attn, c_proj, c_fc"]), ("falcon", ["query_key_value"]), ("opt", ["q_proj", "fc1"]), ("phimoe", ["q_proj", "the experts of 2 layers are not adapted"]),
])
def test_the_layers_of_an_adapter_are_said(name, words, tmp_path):
    policy, said = load(saved(tmp_path, *FORGETFUL[name]), adapter="lora")
    for word in words: assert word in said
    gradient(policy, rollouts_of(policy))
    assert all(p.grad is not None for p in policy.model.parameters() if p.requires_grad)


EXPERTS = {"Phimoe": FORGETFUL["phimoe"][1], "Mixtral": FORGETFUL["mixtral"][1], "Qwen2Moe": dict(COMMON, shared_expert_intermediate_size=24, **MOE),
           "GptOss": dict(COMMON, head_dim=8, num_local_experts=4, num_experts_per_tok=2), "GraniteMoe": dict(COMMON, num_local_experts=4, num_experts_per_tok=2),
           "DeepseekV3": DEEPSEEK}


@pytest.mark.parametrize("family", EXPERTS)
def test_experts_are_counted_by_their_weights(family):
    model = add_lora(model_of(family, EXPERTS[family]), 4, 8.0, False, 0)
    layers, said = expert_layers(model), lora_sentence(model)
    assert len(layers) == (1 if family == "DeepseekV3" else 2)
    stacked = [p for n, p in model.named_parameters() if p.ndim == 3 and "lora_" not in n and "conv" not in n]
    changed = {n for n, p in model.named_parameters() if "lora_" in n and ".experts" in n}
    assert stacked and ("experts included" in said) == bool(changed) == all(layers.values())
    assert ("the experts of" in said) == (not changed)


@pytest.mark.parametrize("family", [*EXPERTS, "Qwen3Next"])
def test_all_linear_layers_of_a_mixture_but_its_routers_are_adapted(family):
    "And the line names what is left as it was."
    settings = EXPERTS.get(family) or dict(COMMON, head_dim=8, shared_expert_intermediate_size=24, layer_types=["linear_attention", "full_attention"], linear_num_value_heads=4,
                                           linear_num_key_heads=2, linear_key_head_dim=8, linear_value_head_dim=8, **MOE)
    model = model_of(family, settings)
    linear, chosen = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)} - {"lm_head"}, set(routers(model))
    model = add_lora(model, 4, 8.0, False, 0)
    adapted = {n.removeprefix("base_model.model.") for n, m in model.named_modules() if hasattr(m, "lora_A")}
    assert linear - adapted <= chosen and chosen and not chosen & adapted
    assert not [n for n, p in model.named_parameters() if p.requires_grad and re.search(r"router|gate\.", n)]
    assert re.search(r"routers \((gate|router) in [12] layers?.*\) are not adapted", lora_sentence(model))
    assert ("shared_expert_gate" in lora_sentence(model)) == any(n.endswith("shared_expert_gate") for n in chosen)


def test_a_layer_without_an_adapter_is_named():
    model = model_of("FalconH1", dict(COMMON, mamba_d_ssm=64, mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, mamba_n_groups=1, mamba_expand=2, mamba_chunk_size=8))
    assert "other linear layers (out_proj in 2 layers) are not adapted" in lora_sentence(add_lora(model, 4, 8.0, False, 0))


def test_a_model_without_experts_says_nothing_of_them():
    assert "expert" not in lora_sentence(policies.adapted(0.1).model)


@pytest.mark.parametrize("family", ["Bamba", "Mamba", "FalconH1"])
def test_projections_that_kernels_reach_into_are_left_out(family):
    settings = {"Bamba": dict(COMMON, attn_layer_indices=[1], mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, mamba_n_groups=1, mamba_expand=2, mamba_chunk_size=8),
                "FalconH1": dict(COMMON, mamba_d_ssm=64, mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, mamba_n_groups=1, mamba_expand=2, mamba_chunk_size=8),
                "Mamba": dict(vocab_size=ROWS, hidden_size=32, num_hidden_layers=2, state_size=8, eos_token_id=0)}[family]
    model = model_of(family, settings)
    assert unfit_layers(model) and all(n.endswith("out_proj") for n in unfit_layers(model))
    assert "out_proj" not in lora_sentence(add_lora(model, 4, 8.0, False, 0)).split(":")[0]


# ---- weights

def dropped(*keys): return lambda w: [w.pop(k) for k in list(w) if any(x in k for x in keys)]


def stretched(key): return lambda w: w.update({key: torch.cat([w[key], w[key]])})


def spoilt(key, value): return lambda w: w[key].view(-1)[3:4].fill_(value)


@pytest.mark.parametrize("keys, count", [(["lm_head"], 1), (["layers.1."], 9), (["norm"], 5), (["embed_tokens"], 1), (["layers.0.mlp.up_proj"], 1)], ids=str)
def test_a_checkpoint_that_lacks_weights_is_refused(keys, count, folder, capsys):
    reweigh(folder / "model.safetensors", dropped(*keys))
    refused(folder, f"lacks {count} weight", keys[0].strip("."), "--allow-missing")
    refused(folder, f"lacks {count} weight", adapter="lora")
    one, said = load(folder, allow_missing=True)
    assert f"{count} weight" in said and "random numbers" in said and keys[0].strip(".") in said
    assert_close(logits(one), logits(load(folder, allow_missing=True)[0]), atol=0, rtol=0)
    status, said = command(train_main, *RUN, "--model", str(folder), "--out", str(folder / "run"), capsys=capsys)
    assert status == 2 and "lacks" in said and keys[0].strip(".") in said


def test_a_command_trains_what_lacks_weights_where_that_is_allowed(folder, capsys):
    reweigh(folder / "model.safetensors", dropped("layers.1."))
    status, said = command(train_main, *RUN, "--model", str(folder), "--out", str(folder / "run"), "--allow-missing", capsys=capsys)
    assert status == 0 and "9 weights" in said and "random numbers" in said


def test_the_folder_of_a_reward_model_is_refused(tmp_path):
    saved(tmp_path, kind="ForSequenceClassification")
    refused(tmp_path, "lm_head.weight", "LlamaForSequenceClassification")
    saved(tmp_path / "tied", settings=dict(COMMON, tie_word_embeddings=True), kind="ForSequenceClassification")
    _, said = load(tmp_path / "tied")
    assert "score.weight" in said and "LlamaForSequenceClassification" in said


@pytest.mark.parametrize("family, settings", [("Llama", dict(COMMON, tie_word_embeddings=True)), ("GPT2", GPT), ("Bloom", FORGETFUL["bloom"][1]), ("OPT", FORGETFUL["opt"][1]),
                                              ("Falcon", FORGETFUL["falcon"][1]), ("GPTNeoX", FORGETFUL["gpt_neox"][1]), ("Mixtral", FORGETFUL["mixtral"][1]),
                                              ("Gemma2", dict(COMMON, head_dim=16)), ("GptOss", EXPERTS["GptOss"])], ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_rightly_absent_is_not_missed(family, settings, tmp_path):
    assert load(saved(tmp_path, family, settings))[1] == ""


def test_weights_without_a_place_are_counted(folder):
    reweigh(folder / "model.safetensors", lambda w: w.update({"value_head.weight": torch.zeros(3), "value_head.bias": torch.zeros(3)}))
    assert "2 weights of the checkpoint without a place in the model" in load(folder)[1]
    edit(folder / "config.json", num_hidden_layers=1)
    assert "11 weights" in load(folder)[1]


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
FAULTS = {
    "longer weight": (lambda f: reweigh(f / "model.safetensors", stretched("model.layers.1.mlp.down_proj.weight")), ["layers.1.mlp.down_proj.weight", "64 x 48, not 32 x 48"]),
    "other width": (lambda f: edit(f / "config.json", intermediate_size=50), ["6 weights", "32 x 48, not 32 x 50"]),
    "nan": (lambda f: reweigh(f / "model.safetensors", spoilt("model.layers.1.mlp.up_proj.weight", float("nan"))), ["model.layers.1.mlp.up_proj.weight holds nan"]),
    "inf": (lambda f: reweigh(f / "model.safetensors", spoilt("lm_head.weight", float("-inf"))), ["lm_head.weight holds inf"]),
    "too large": (lambda f: reweigh(f / "model.safetensors", spoilt("model.layers.0.mlp.down_proj.weight", 1e20)), ["model.layers.0.mlp.down_proj.weight holds 1e+20", "larger than 1.8e+19"]),
    "too far below zero": (lambda f: reweigh(f / "model.safetensors", spoilt("lm_head.weight", -3e19)), ["lm_head.weight holds 3e+19"]),
    "torn weights": (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:30000]), ["cut short"]),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), ["model.safetensors is empty"]),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), ["model.safetensors"]),
    "pickle of nothing": (lambda f: ((f / "model.safetensors").unlink(), (f / "pytorch_model.bin").write_bytes(b"abc")), []),
    "half an index": (lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors.index.json").write_text("{")), []),
    "half a config": (lambda f: (f / "config.json").write_text("{"), ["config.json"]),
    "a list for a config": (lambda f: (f / "config.json").write_text("[]"), []),
    "no config": (lambda f: (f / "config.json").unlink(), ["there is no config.json"]),
    "a pointer": (lambda f: (f / "model.safetensors").write_text(POINTER), ["model.safetensors is a git-lfs pointer"]),
    "a pointer for a tokenizer": (lambda f: (f / "tokenizer.json").write_text(POINTER), ["tokenizer.json is a git-lfs pointer"]),
    "a list that is no list": (lambda f: (f / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"[]"), ["no safetensors file"]),
    "a header cut short": (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:300]), ["cut short"]),
    "norms without a place": (lambda f: reweigh(f / "model.safetensors", lambda w: w.update({"model.layers.0.self_attn.q_norm.weight": torch.ones(8)})),
                              ["has 1 weight inside layers", "q_norm", "model_type", "--allow-missing"]),
    "whole numbers": (lambda f: reweigh(f / "model.safetensors", lambda w: w.update({"model.layers.0.mlp.up_proj.weight": torch.ones(48, 32, dtype=torch.int8)})),
                      ["stored as I8", "model.layers.0.mlp.up_proj.weight", "quantisation"]),
    "eighths": (lambda f: reweigh(f / "model.safetensors", lambda w: w.update({"lm_head.weight": w["lm_head.weight"].to(torch.float8_e4m3fn)})), ["stored as F8_E4M3", "lm_head"]),
    "zero embedding": (lambda f: reweigh(f / "model.safetensors", lambda w: w["model.embed_tokens.weight"].zero_()), ["all of model.embed_tokens.weight is zero"]),
    "zero head": (lambda f: reweigh(f / "model.safetensors", lambda w: w["lm_head.weight"].zero_()), ["all of lm_head.weight is zero"]),
    "unknown kind": (lambda f: edit(f / "config.json", model_type="nobody-knows"), ["'nobody-knows'", "not known to this version of transformers"]),
    "layers in words": (lambda f: edit(f / "config.json", num_hidden_layers="two"), ["num_hidden_layers"]),
    "half a tokenizer": (lambda f: (f / "tokenizer.json").write_text("{"), ["tokenizer"]),
    "no tokenizer": (lambda f: [p.unlink() for p in f.glob("tokenizer*")], ["tokenizer"]),
    "all gone": (lambda f: [p.unlink() for p in f.iterdir()], ["there are no files in it"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_folder_is_one_line(fault, folder, capsys):
    change, words = FAULTS[fault]
    change(folder)
    refused(folder, *words)
    status, said = command(train_main, *RUN, "--model", str(folder), "--out", str(folder.parent / "run"), capsys=capsys)
    assert status == 2 and str(folder) in said and "Traceback" not in said


def test_matrices_that_are_zero_are_counted(folder):
    reweigh(folder / "model.safetensors", lambda w: [w[f"model.layers.{i}.mlp.up_proj.weight"].zero_() for i in (0, 1)])
    assert "2 matrices are zero throughout, first model.layers.0.mlp.up_proj.weight" in load(folder)[1]


def test_weights_of_another_kind_of_model_are_refused(tmp_path):
    "Qwen3's, read as a Llama's: what norms its queries and keys would be left out."
    saved(tmp_path, "Qwen3", dict(COMMON, head_dim=8))
    edit(tmp_path / "config.json", model_type="llama", architectures=["LlamaForCausalLM"])
    refused(tmp_path, "4 weights inside layers", "q_norm")
    assert "4 weights" in load(tmp_path, allow_missing=True)[1]


@pytest.mark.parametrize("template", ["hi", "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{% endfor %}", "{{ messages[0].role }}: "])
def test_a_chat_template_without_the_problem_is_refused(template, folder):
    with_tokens(lambda t: setattr(t, "chat_template", template))(folder)
    refused(folder, "chat template leaves the problem out")
    assert load(folder, template="plain")[0].template == "plain"


@pytest.mark.parametrize("rank", [49, 100000])
def test_a_rank_above_the_matrices_is_refused(rank, folder):
    with pytest.raises(InputError, match=f"lora_rank={rank}: at most 32"): load(folder, adapter="lora", lora_rank=rank)
    load(folder, adapter="lora", lora_rank=32)


@pytest.mark.parametrize("name, meant", [("smollm2-135", "smollm2-135m"), ("SmolLM2-135M", "smollm2-135m"), ("smollm2_135m", "smollm2-135m"), ("tinny", "tiny")])
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(name, meant):
    with pytest.raises(InputError, match=f"did you mean '{meant}'"): load(name)


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_a_run_or_a_checkpoint_stands_for_its_model(adapter, tmp_path, capsys):
    run = str(tmp_path / "run")
    status, said = command(train_main, *RUN[:-2], "--checkpoint-every", "1", "--adapter", adapter, "--out", run, capsys=capsys)
    assert status == 0, said
    for place in (run, f"{run}/checkpoints/step-000001"):
        policy, said = load(place, adapter=adapter)
        assert f"its model is {place}/model" in said
        assert_close(logits(policy), logits(load(f"{place}/model", adapter=adapter)[0]), atol=0, rtol=0)
    status, said = command(eval_main, "--model", run, "--problems", "arithmetic:2", "--limit", "2", "--samples", "2", "--k", "1", "--max-new-tokens", "4",
                           "--out", str(tmp_path / "eval"), capsys=capsys)
    assert status == 0 and "its model is" in said
    shutil.rmtree(f"{run}/model")
    refused(run, "no model yet", "checkpoints/step-000001")


def test_a_missing_shard_is_one_line(folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    load(folder)
    sorted(folder.glob("model-0*"))[1].unlink()
    refused(folder, "model-00002-of")


@pytest.mark.parametrize("family, settings", [("GPT2", GPT), ("OPT", FORGETFUL["opt"][1]), ("Gemma", dict(COMMON, head_dim=16)), ("Bloom", FORGETFUL["bloom"][1]),
                                              ("Qwen2", COMMON), ("Mistral", COMMON), ("GPTNeoX", FORGETFUL["gpt_neox"][1])], ids=lambda x: x if isinstance(x, str) else "")
def test_a_tokenizer_that_is_not_there_is_missed(family, settings, tmp_path):
    "Of some families transformers makes an empty one and says nothing."
    saved(tmp_path, family, settings)
    for f in tmp_path.glob("tokenizer*"): f.unlink()
    refused(tmp_path, "tokenizer")


def test_a_path_is_not_taken_for_a_name(tmp_path):
    refused(tmp_path / "nowhere", "there is no such folder")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "that is a file")


# ---- kinds of models

@pytest.mark.parametrize("method", [dict(quant_method="gptq", bits=4), dict(quant_method="awq", bits=4), dict(quant_method="compressed-tensors", config_groups={}),
                                    dict(quant_method="bitsandbytes", load_in_8bit=True), dict(quant_method="bitsandbytes", load_in_4bit=True), dict(quant_method="fp8"),
                                    dict(quant_method="modelopt"), dict(quant_method="torchao"), dict(quant_method="quanto"), dict(quant_method="nobody-knows"), dict(load_in_8bit=True)], ids=str)
def test_a_quantised_checkpoint_is_refused(method, folder):
    edit(folder / "config.json", quantization_config=method)
    for adapter in ("none", "lora"): refused(folder, method.get("quant_method", "bitsandbytes"), "quantised", "made from", adapter=adapter)


def test_quantisation_that_is_not_there_is_none(folder):
    edit(folder / "config.json", quantization_config=None)
    load(folder)


def test_weights_in_4_bits_serve_below_an_adapter(tmp_path):
    saved(tmp_path / "base", settings=dict(COMMON, hidden_size=64))
    first, _ = load(tmp_path / "base", adapter="qlora")
    first.model.unload().save_pretrained(tmp_path / "nf4")
    TOKENIZER.save_pretrained(tmp_path / "nf4")
    refused(tmp_path / "nf4", "bitsandbytes", "--adapter qlora trains an adapter over it")
    second, _ = load(tmp_path / "nf4", adapter="qlora")
    assert "Linear4bit" in {type(m).__name__ for m in second.base.modules()}


def test_mxfp4_is_read(tmp_path):
    "The published weights of gpt-oss: experts in 4 bits with scales, which transformers turns into ordinary weights."
    settings = dict(COMMON, head_dim=8, intermediate_size=64, num_local_experts=4, num_experts_per_tok=2)
    saved(tmp_path, "GptOss", settings)

    def pack(weights):
        for key in [k for k in weights if k.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
            experts, inside, outside = weights.pop(key).shape
            weights[f"{key}_blocks"] = torch.randint(0, 255, (experts, outside, inside // 32, 16), dtype=torch.uint8)
            weights[f"{key}_scales"] = torch.full((experts, outside, inside // 32), 120, dtype=torch.uint8)

    reweigh(tmp_path / "model.safetensors", pack)
    edit(tmp_path / "config.json", quantization_config={"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]})
    policy, _ = load(tmp_path)
    assert {p.dtype for p in policy.model.parameters()} == {torch.float32}
    policy.save(tmp_path / "again")
    assert_close(logits(load(tmp_path / "again")[0]), logits(policy), atol=0, rtol=0)


SEQ = dict(vocab_size=ROWS, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32,
           max_position_embeddings=64, eos_token_id=0, pad_token_id=1, bos_token_id=0, decoder_start_token_id=0)


@pytest.mark.parametrize("family, kind, settings, words", [
    ("T5", "ForConditionalGeneration", dict(vocab_size=ROWS, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4, decoder_start_token_id=1, eos_token_id=0), "encoder and a decoder"),
    ("Bart", "ForConditionalGeneration", SEQ, "encoder and a decoder"), ("MBart", "ForConditionalGeneration", SEQ, "encoder and a decoder"),
    ("Bert", "ForMaskedLM", SMALL, "those after it"), ("Roberta", "ForMaskedLM", SMALL, "those after it"), ("Electra", "ForMaskedLM", SMALL, "those after it"),
    ("XLNet", "LMHeadModel", dict(vocab_size=ROWS, d_model=32, n_layer=2, n_head=4, d_inner=48, eos_token_id=0, pad_token_id=1), "those after it"),
    ("DistilBert", "ForMaskedLM", dict(vocab_size=ROWS, dim=32, hidden_dim=32, n_layers=1, n_heads=4), "no causal language model"),
    ("ModernBertDecoder", "ForCausalLM", dict(vocab_size=ROWS, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, local_attention=8,
                                              max_position_embeddings=64, eos_token_id=0, pad_token_id=1, bos_token_id=0, cls_token_id=0, sep_token_id=0), "changes its logits"),
], ids=lambda x: x if isinstance(x, str) else "")
def test_what_does_not_continue_a_text_is_refused(family, kind, settings, words, tmp_path):
    saved(tmp_path, family, settings, kind)
    for adapter in ("none", "lora"): refused(tmp_path, words, adapter=adapter)


CODE = """
from transformers import LlamaConfig, LlamaForCausalLM
class MineConfig(LlamaConfig): model_type = "mine"
class MineModel(LlamaForCausalLM): config_class = MineConfig
print("CODE RAN")
"""


def test_code_runs_only_when_asked_for(folder, capsys, monkeypatch):
    edit(folder / "config.json", model_type="mine", auto_map={"AutoConfig": "mine.MineConfig", "AutoModelForCausalLM": "mine.MineModel"})
    (folder / "mine.py").write_text(CODE)
    monkeypatch.setattr("builtins.input", lambda *args: pytest.fail("a question on the terminal"))
    refused(folder, "--trust-remote-code")
    status, said = command(train_main, *RUN, "--model", str(folder), "--out", str(folder / "run"), capsys=capsys)
    assert status == 2 and "--trust-remote-code" in said and "CODE RAN" not in said
    status, said = command(train_main, *RUN, "--model", str(folder), "--out", str(folder / "run"), "--trust-remote-code", capsys=capsys)
    assert status == 0 and "CODE RAN" in said


def test_code_of_a_known_kind_is_left_alone(folder, capsys):
    "A folder that brings code, though transformers has its kind: the latter is used, and nobody is asked."
    edit(folder / "config.json", auto_map={"AutoConfig": "mine.MineConfig", "AutoModelForCausalLM": "mine.MineModel"})
    (folder / "mine.py").write_text(CODE)
    load(folder)
    assert "CODE RAN" not in capsys.readouterr().out


# ---- tokenizers

def with_tokens(change):
    def go(folder):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        change(tokenizer)
        tokenizer.save_pretrained(folder)
    return go


def with_template(tokenizer):
    tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    tokenizer.chat_template = "{% for m in messages %}<turn>{{ m.content }}{% endfor %}"


@pytest.mark.parametrize("change, words", [
    (lambda t: t.add_tokens(["foo", "bar"]), ["2 tokens (bar, foo)", f"rows for {ROWS} tokens"]), (with_template, ["<turn>"]),
    (lambda t: t.add_special_tokens({"eos_token": "<stop>"}), ["<stop>"]),
], ids=["words", "template", "end"])
def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(change, words, folder):
    with_tokens(change)(folder)
    refused(folder, *words)


@pytest.mark.parametrize("change, word", [(lambda t: t.add_special_tokens({"additional_special_tokens": ["<image>"]}), "<image>"),
                                          (lambda t: t.add_special_tokens({"pad_token": "[PAD]"}), "[PAD]")], ids=["image", "pad"])
def test_special_tokens_that_no_text_has_are_counted(change, word, folder):
    with_tokens(change)(folder)
    policy, said = load(folder)
    assert f"1 special token ({word})" in said and policy.pad_id < ROWS
    rollouts_of(policy)


# ---- what is printed

NOTE = """
import ctypes, sys
found = ctypes.CDLL.__getattr__
ctypes.CDLL.__getattr__ = lambda self, name: (lambda: True) if name == "has_avx512bf16_cpu" else found(self, name)  # a processor with AVX512-BF16
sys.modules["kernels"] = None
"""


def test_bitsandbytes_says_nothing_of_kernels():
    def said(program): return subprocess.run([sys.executable, "-c", NOTE + program], capture_output=True, text=True, check=True).stderr

    if "kernels-community" not in said("import bitsandbytes"): pytest.skip("this bitsandbytes does not look for kernels")
    for module in ("loading", "policy", "embedders", "cli"): assert "kernels" not in said(f"import extra_nb.{module}, bitsandbytes")
    assert "something else" in said("import extra_nb.models.loading, bitsandbytes, logging; logging.getLogger('bitsandbytes.backends.cpu.ops').warning('something else')")
