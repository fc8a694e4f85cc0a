"Policies that several tests need."
import torch

from extra_nb.loading import add_lora
from extra_nb.policy import Policy, tiny_policy


def adapted(size: float) -> Policy:
    "A tiny policy whose LoRA adapter has learned something, of this size."
    policy = tiny_policy()
    policy.model = add_lora(policy.model, 4, 8.0, False, 0)
    with torch.no_grad():
        for name, p in policy.model.named_parameters():
            if "lora_B" in name: p.normal_(0, size)
    return policy
