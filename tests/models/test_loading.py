"What is loaded is whole and is what was meant; anything else is one line."
import shutil
import subprocess
import sys

import pytest
import torch
import transformers
from families import COMMON, EXPERTS, FORGETFUL, GPT, ROWS, RUN, SMALL, TOKENIZER, command, edit, load, logits, refused, reweigh, rollouts_of, saved
from torch.testing import assert_close

from extra_nb.cli import eval_main, train_main
from extra_nb.types import InputError


@pytest.fixture
def folder(tmp_path): return saved(tmp_path / "model")


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
