"Every model is held against a plain forward pass: families with states, models that are wrong under padding, attention of other makes, longrope."
import logging
from types import SimpleNamespace

import policies
import pytest
import torch
from torch.testing import assert_close

import extra_nb.fast.decoder as decoder
import extra_nb.sampler as sampler
from extra_nb.fast.checks import attends_only, in_32_bits
from extra_nb.fast.kernels import can_fuse
from extra_nb.policy import context_length, load_policy, longrope_switch, tiny_policy
from extra_nb.sampler import check_policy, context_of, recompute, sample, logprobs_of
from extra_nb.types import InputError, Problem, Request

PROBLEMS = ["3+5", "12+30+4", "9", "a=7, b=2, what is a*b+3?"]
MOE = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24)
LINEAR = dict(num_hidden_layers=4, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=8)
MAMBA = dict(mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, mamba_n_groups=1, mamba_expand=2)
STATES = {
    "Qwen3_5Text": LINEAR,
    "Qwen3Next": dict(**LINEAR, **MOE, shared_expert_intermediate_size=24, decoder_sparse_step=1),
    "Lfm2": dict(layer_types=["conv", "full_attention", "conv"], block_ff_dim=48),
    "Lfm2Moe": dict(layer_types=["conv", "full_attention", "conv"], **MOE, num_dense_layers=1),
    "GraniteMoeHybrid": dict(**MAMBA, num_local_experts=4, num_experts_per_tok=2, shared_intermediate_size=32, layer_types=["mamba", "attention", "mamba"]),
    "Mamba2": dict(state_size=8, num_heads=8, head_dim=8, n_groups=1, expand=2, chunk_size=8),
    "Bamba": dict(**MAMBA, attn_layer_indices=[1], mamba_chunk_size=8),
    "Jamba": dict(num_experts=2, num_experts_per_tok=1, attn_layer_period=2, attn_layer_offset=1, expert_layer_period=2, expert_layer_offset=1,
                  mamba_d_state=8, mamba_dt_rank=4, use_mamba_kernels=False, num_hidden_layers=4),
    "FalconH1": dict(mamba_d_ssm=64, **MAMBA, mamba_chunk_size=8, lm_head_multiplier=0.5),
    "OlmoHybrid": dict(num_hidden_layers=4),
}


def drawn(policy, group=3, length=14):
    "Responses to prompts of several lengths, and responses that go on from a prefix."
    requests = [Request(Problem(str(i), p, "8")) for i, p in enumerate(PROBLEMS)]
    rollouts = [r for rs in sample(policy, requests, group, max_new_tokens=length) for r in rs]
    prefixes = [Request(q.problem, tuple(rollouts[i * group].tokens[: 2 + i].tolist()), origin="regeneration") for i, q in enumerate(requests)]
    return rollouts + [r for rs in sample(policy, prefixes, group, max_new_tokens=length) for r in rs]


@torch.no_grad()
def plain(policy, rollout):
    "The log-probabilities of a response as transformers has them, with nothing of ours."
    context = context_of(policy, rollout.request)
    logits = policy.base(input_ids=torch.tensor([context + rollout.tokens.tolist()])).logits[0, len(context) - 1 : -1]
    return logits.float().log_softmax(-1).gather(-1, rollout.tokens[:, None])[:, 0]


def gradients(policy, logprobs):
    policy.model.zero_grad()
    weight = torch.linspace(-1, 1, len(logprobs))
    (weight * logprobs).sum().backward()
    return torch.cat([p.grad.flatten() for p in policy.model.parameters() if p.grad is not None])


def plain_gradients(policy, rollouts):
    parts = []
    for r in rollouts:
        context = context_of(policy, r.request)
        logits = policy.model(input_ids=torch.tensor([context + r.tokens.tolist()])).logits[0, len(context) - 1 : -1]
        parts.append(logits.log_softmax(-1).gather(-1, r.tokens[:, None])[:, 0])
    return gradients(policy, torch.cat(parts))


@pytest.mark.parametrize("name", STATES)
def test_layers_with_a_state(name):
    "Rows that share a prompt, that leave, that go on from prefixes; then the gradient."
    policy = policies.family(name, **STATES[name])
    rollouts = drawn(policy)
    assert not attends_only(policy) and policy.decoding == "plain"
    for r in rollouts: assert_close(r.logprobs, plain(policy, r), atol=1e-3, rtol=0)
    some = [*rollouts[:4], *rollouts[-3:]]
    theirs = plain_gradients(policy, some)
    assert (gradients(policy, logprobs_of(policy, some)[0]) - theirs).norm() < 1e-3 * theirs.norm() and not policy.shares


@pytest.mark.parametrize("name, settings", [
    ("Falcon", dict(usual=False, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, multi_query=True, bos_token_id=0, eos_token_id=0)),
    ("Falcon", dict(usual=False, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2, new_decoder_architecture=True, bos_token_id=0, eos_token_id=0)),
    ("Afmoe", dict(**MOE, num_dense_layers=1, sliding_window=8, layer_types=["sliding_attention", "full_attention", "full_attention"])),
    ("JetMoe", dict(kv_channels=8, num_local_experts=4, num_experts_per_tok=2)),
    ("StableLm", dict(partial_rotary_factor=0.5)), ("GPT2", dict(usual=False, n_embd=32, n_layer=2, n_head=4, eos_token_id=0, bos_token_id=0))],
    ids=["falcon-7b", "falcon-40b", "afmoe", "jetmoe", "stablelm", "gpt2"])
def test_attention_of_other_makes_in_bf16(name, settings):
    "Scores are as near to exact ones as a plain forward pass in the same precision."
    policy, exact = policies.family(name, compute="bf16", **settings), policies.family(name, **settings)
    rollouts = drawn(exact)
    right = torch.cat([plain(exact, r) for r in rollouts])
    with torch.no_grad(), policy.autocast(): usual = torch.cat([plain(policy, r) for r in rollouts])
    with torch.no_grad(): ours = logprobs_of(policy, rollouts)[0]
    assert 0 < (ours - right).abs().mean() < 2 * (usual - right).abs().mean() + 1e-3


COUNTS = dict(usual=False, d_model=32, decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=48, max_position_embeddings=256, eos_token_id=0, pad_token_id=1,
              bos_token_id=0, is_decoder=True, is_encoder_decoder=False)


@pytest.mark.parametrize("name, settings", [("Bart", COUNTS), ("Pegasus", COUNTS)])
@pytest.mark.parametrize("rows", [256, 6])
def test_models_that_count_positions_themselves_are_never_padded(name, settings, rows, caplog):
    policy = policies.family(name, **settings)
    requests = [Request(Problem(str(i), p, "8")) for i, p in enumerate([*PROBLEMS, "5", "1+1"])]
    rollouts = [r for rs in sample(policy, requests, 3, max_new_tokens=10, max_rows=rows) for r in rs]
    assert not policy.pads and [r.request.problem.id for r in rollouts] == [q.problem.id for q in requests for _ in range(3)]
    for r in rollouts: assert_close(r.logprobs, plain(policy, r), atol=1e-3, rtol=0)
    theirs = plain_gradients(policy, rollouts[:4])
    assert (gradients(policy, logprobs_of(policy, rollouts[:4])[0]) - theirs).norm() < 1e-3 * theirs.norm()
    assert any("wrong under left padding" in line for line in caplog.messages)


@pytest.mark.parametrize("name, settings", [
    ("Rwkv", dict(usual=False, hidden_size=32, num_hidden_layers=2, attention_hidden_size=32, intermediate_size=48, context_length=256, eos_token_id=0, bos_token_id=0)),
    ("Mamba", dict(usual=False, hidden_size=32, num_hidden_layers=2, state_size=8, eos_token_id=0, pad_token_id=1, bos_token_id=0)),
    ("Zamba2", dict(num_hidden_layers=4, hybrid_layer_ids=[1, 3], mamba_d_state=8, mamba_headdim=8, n_mamba_heads=8, mamba_ngroups=1, mamba_expand=2, chunk_size=8,
                    layers_block_type=["mamba", "hybrid"] * 2)),
    ("MiniMax", dict(num_local_experts=4, num_experts_per_tok=2, layer_types=["linear_attention", "full_attention", "full_attention"], block_size=8)),
    ("OpenAIGPT", dict(usual=False, n_positions=256, n_embd=32, n_layer=2, n_head=4, eos_token_id=0)),
    ("XLNet", dict(usual=False, d_model=32, n_layer=2, n_head=4, d_inner=48, eos_token_id=0, pad_token_id=1))])
def test_what_cannot_be_exact_is_refused_in_one_line(name, settings):
    policy = policies.family(name, **settings)
    for use in (lambda: drawn(policy), lambda: check_policy(policy)):
        with pytest.raises(InputError, match="exact log-probabilities") as e: use()
        assert name.lower() in str(e.value).lower() and "\n" not in str(e.value)


def test_other_bodies_and_output_layers():
    chunks = dict(intermediate_size_mlp=48, num_local_experts=4, num_experts_per_tok=1, attention_chunk_size=8, num_hidden_layers=4, interleave_moe_layer_step=2)
    for policy in (policies.family("Llama4Text", **chunks), policies.family("FalconH1", **STATES["FalconH1"])):
        for r in drawn(policy): assert_close(r.logprobs, plain(policy, r), atol=1e-3, rtol=0)


def test_logits_are_capped_as_the_part_for_text_says():
    "Gemma 4 that reads pictures too keeps its cap in the configuration of its text part."
    import transformers

    text = {**policies.SIZES, "vocab_size": 81, "global_head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention", "full_attention"],
            "vocab_size_per_layer_input": 81, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0, "final_logit_softcapping": 2.0}
    model = transformers.Gemma4ForConditionalGeneration(transformers.Gemma4Config(text_config=text, eos_token_id=0))
    policies.loud(model)
    policy = policies.Policy(model.eval(), tiny_policy().tokenizer, "gemma4", template="plain", instruction="{problem}\n")
    assert policy.adjusts
    for r in drawn(policy): assert_close(r.logprobs, plain(policy, r), atol=1e-3, rtol=0)


LONG = dict(num_hidden_layers=2, sliding_window=None, original_max_position_embeddings=24, max_position_embeddings=192, resid_pdrop=0.0)
ROPE = dict(rope_type="longrope", rope_theta=10000.0, factor=8.0, original_max_position_embeddings=24, short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[4.0, 6.0, 8.0, 12.0])


def test_longrope_ends_before_its_switch():
    policy = policies.family("Phi3", **LONG, rope_parameters=ROPE)
    assert policy.context_length == 24
    fits = [Request(Problem("a", "3+5", "8"))]
    for r in sample(policy, fits, 3, max_new_tokens=20)[0]: assert_close(r.logprobs, plain(policy, r), atol=1e-3, rtol=0)
    with pytest.raises(InputError, match="exceed the context of 24, beyond which .*longrope"): sample(policy, fits, 3, max_new_tokens=21)


@pytest.mark.parametrize("config, switch", [
    (dict(rope_parameters=ROPE), 24), (dict(rope_scaling={"type": "longrope"}, original_max_position_embeddings=4096), 4096),
    (dict(rope_parameters={"full_attention": {"rope_type": "default"}, "sliding_attention": {**ROPE, "original_max_position_embeddings": 99}}), 99),
    (dict(rope_parameters={"rope_type": "yarn", "original_max_position_embeddings": 24}), None), (dict(rope_parameters=None), None), (dict(), None)])
def test_where_rotations_switch(config, switch):
    model = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=131072, **config))
    assert longrope_switch(model) == switch and context_length(model) == (switch or 131072)


def test_the_check_is_made_once_and_can_be_skipped(monkeypatch):
    asked, right = [], decoder.truth_of
    for module in (decoder, sampler): monkeypatch.setattr(module, "truth_of", lambda *args: asked.append(0) or right(*args))
    policy = tiny_policy()
    for _ in range(2): check_policy(policy), logprobs_of(policy, drawn(policy))
    assert policy.checked == {"decoding", "scoring"} and len(asked) == 1
    other = load_policy("tiny", check=False)
    other.decoding = "plain"
    logprobs_of(other, drawn(other))
    assert len(asked) == 1


def test_a_sampler_that_is_wrong_is_found_out(monkeypatch):
    "Positions that padding shifts, as in unsloth#6738."
    right = sampler.left_pad

    def shifted(*args):
        padded = right(*args)
        return padded._replace(positions=torch.arange(padded.ids.shape[1]).expand_as(padded.ids))

    monkeypatch.setattr(sampler, "left_pad", shifted)
    policy = policies.family("GPT2", usual=False, n_embd=32, n_layer=2, n_head=4, eos_token_id=0, bos_token_id=0)
    check_policy(policy)
    assert not policy.pads


def test_an_attention_for_short_rows_that_is_wrong_is_not_used(monkeypatch, caplog):
    import extra_nb.fast.attention as attention

    right = attention.row_attention
    monkeypatch.setattr(attention, "row_attention", lambda *args: 1.3 * right(*args))
    policy = policies.family("Llama", compute="bf16")
    check_policy(policy)
    assert not policy.rows_attend and any("usual attention is used in updates" in line for line in caplog.messages)
    assert policies.family("Llama").rows_attend


def test_logits_that_are_not_numbers():
    policy = tiny_policy()
    with torch.no_grad(): policy.base.model.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"): check_policy(policy)


@pytest.mark.parametrize("compute", ["fp32", "bf16"])
def test_what_the_output_layer_does_not_read_decides_nothing(compute, monkeypatch):
    "Entries of hidden states that are a thousand times as large as the rest, as trained models have them."
    run = decoder.FastDecoder._forward

    def noisy(self, *args):
        hidden = run(self, *args).clone()
        hidden[:, 0] += 1000 * torch.randn(len(hidden), generator=torch.Generator().manual_seed(0))
        return hidden

    monkeypatch.setattr(decoder.FastDecoder, "_forward", noisy)
    policy = tiny_policy(compute_dtype=compute)
    with torch.no_grad(): policy.base.get_output_embeddings().weight[:, 0] = 0
    check_policy(policy)
    assert policy.decoding == ("fused" if compute == "bf16" and can_fuse() else "fast") and policy.why == ""


@pytest.mark.parametrize("name, settings, why", [
    ("Gemma2", dict(sliding_window=8), "sliding window"), ("Qwen3Next", STATES["Qwen3Next"], "other than attention"),
    ("Bloom", dict(usual=False, hidden_size=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0), "of a make of its own"),
    ("DeepseekV3", dict(num_key_value_heads=4, q_lora_rank=16, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=8, n_routed_experts=4, num_experts_per_tok=2,
                        n_group=2, topk_group=1, moe_intermediate_size=24, first_k_dense_replace=1, n_shared_experts=1), "kept compressed")])
def test_the_way_is_said_once_with_its_reason(name, settings, why, caplog):
    policy = policies.family(name, **settings)
    with caplog.at_level(logging.WARNING): drawn(policy), drawn(policy)
    lines = [line for line in caplog.messages if "are drawn the plain way" in line]
    assert policy.decoding == "plain" and why in policy.why and len(lines) == 1 and why in lines[0] and not any(word in lines[0] for word in ("fail", "Error"))


def test_the_fastest_way_is_not_talked_about(caplog):
    drawn(tiny_policy())
    assert not caplog.messages


def test_modes_come_back_module_by_module():
    "A policy of which one part is in training mode, as where activations are computed again."
    policy = tiny_policy()
    policy.base.model.layers[0].training = True
    modes = [m.training for m in policy.model.modules()]
    rollout = drawn(policy)[0]
    recompute(policy, rollout)
    assert [m.training for m in policy.model.modules()] == modes and sum(modes) == 1


@pytest.mark.parametrize("compute", ["fp32", "bf16"])
def test_weights_of_few_bits(compute, tmp_path, caplog):
    "What is computed from bf16 or nf4 weights is rounded everywhere, and that is no fault of padding."
    policy = policies.family("Llama", hidden_size=64, intermediate_size=128, head_dim=16)
    policy.save(tmp_path)
    for weights in (dict(weights="bf16"), dict(adapter="qlora")):
        other = load_policy(str(tmp_path), compute=compute, device="cpu", instruction="{problem}\n", say=None, **weights)
        rollouts = drawn(other)
        assert other.pads and not in_32_bits(other)
        with torch.no_grad(): assert (logprobs_of(other, rollouts)[0] - torch.cat([r.logprobs for r in rollouts])).abs().mean() < 0.05
        assert other.shares and not [line for line in caplog.messages if "padding" in line or "context of its own" in line]


def test_a_short_context_is_enough():
    for context in (5, 8, 24):
        policy = tiny_policy(context=context)
        check_policy(policy)
        assert policy.decoding == "fast"
    assert load_policy("tiny").context_length == 256
