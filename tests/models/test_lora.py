"Which layers an adapter changes, and what is said of them."
import re

import policies
import pytest
import torch
from families import COMMON, EXPERTS, FORGETFUL, MOE, ROWS, gradient, load, model_of, rollouts_of, saved

from extra_nb.models.lora import add_lora, expert_layers, lora_sentence, routers, unfit_layers


@pytest.mark.parametrize("name, words", [
    ("gpt2", ["c_attn, c_proj, c_fc"]), ("falcon", ["query_key_value"]), ("opt", ["q_proj", "fc1"]), ("phimoe", ["q_proj", "the experts of 2 layers are not adapted"]),
])
def test_the_layers_of_an_adapter_are_said(name, words, tmp_path):
    policy, said = load(saved(tmp_path, *FORGETFUL[name]), adapter="lora")
    for word in words: assert word in said
    gradient(policy, rollouts_of(policy))
    assert all(p.grad is not None for p in policy.model.parameters() if p.requires_grad)


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
