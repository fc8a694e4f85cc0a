"Small models of many families, saved in folders, and what the tests about models do with them."
import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from extra_nb.models.tiny import tiny_tokenizer
from extra_nb.policy import load_policy
from extra_nb.sampler import sample, logprobs_of
from extra_nb.types import InputError, Problem, Request

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


def rollouts_of(policy): return list(sample(policy, [Request(Problem("a", "3+5", "8")), Request(Problem("b", "12+5", "17"))], 2, max_new_tokens=8)[0])


def gradient(policy, rollouts):
    policy.model.zero_grad()
    logprobs, _ = logprobs_of(policy, rollouts, share_contexts=False)
    logprobs.sum().backward()
    return logprobs.detach(), {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}


def logits(policy): return policy.model(IDS).logits


EXPERTS = {"Phimoe": FORGETFUL["phimoe"][1], "Mixtral": FORGETFUL["mixtral"][1], "Qwen2Moe": dict(COMMON, shared_expert_intermediate_size=24, **MOE),
           "GptOss": dict(COMMON, head_dim=8, num_local_experts=4, num_experts_per_tok=2), "GraniteMoe": dict(COMMON, num_local_experts=4, num_experts_per_tok=2),
           "DeepseekV3": DEEPSEEK}
