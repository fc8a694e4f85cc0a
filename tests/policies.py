"Policies that several tests need."
import torch

from extra_nb.models.lora import add_lora
from extra_nb.policy import Policy, tiny_policy


def adapted(size: float) -> Policy:
    "A tiny policy whose LoRA adapter has learned something, of this size."
    policy = tiny_policy()
    policy.model = add_lora(policy.model, 4, 8.0, False, 0)
    with torch.no_grad():
        for name, p in policy.model.named_parameters():
            if "lora_B" in name: p.normal_(0, size)
    return policy


def loud(model: torch.nn.Module, seed: int = 0):
    "Random weights so large that a wrong mask, position or state changes what the model says. Time constants of recurrent layers keep their scale."
    made = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "A_log" in name or "dt_" in name: continue
            if p.ndim >= 2: p.copy_(torch.randn(p.shape, generator=made) * (1.0 if "embed" in name else p.shape[-1] ** -0.5))
            elif "norm" in name or "ln_" in name: p.add_(0.2 * torch.randn(p.shape, generator=made))
            else: p.copy_(0.3 * torch.randn(p.shape, generator=made))


SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
             max_position_embeddings=256, bos_token_id=None, eos_token_id=0, pad_token_id=1)


def family(name: str, compute: str = "fp32", usual: bool = True, **settings) -> Policy:
    "A small random policy of an architecture, by the name of its configuration."
    import transformers

    tokenizer = tiny_policy().tokenizer
    config = getattr(transformers, f"{name}Config")(vocab_size=len(tokenizer), **({**SIZES, **settings} if usual else settings))
    model = transformers.AutoModelForCausalLM.from_config(config)
    loud(model)
    model.generation_config = transformers.GenerationConfig(eos_token_id=0, pad_token_id=1)
    return Policy(model.eval(), tokenizer, name, template="plain", instruction="{problem}\n", compute_dtype=compute)
