"""What single changes to sampler and update bring on this machine: the work with and without each of them, in turns.

    python tools/speed_changes.py OUT.json [ROUNDS]

Takes SmolLM2-135M-Instruct through workload (a) of `extra-bench sampler`. nbs/experiments/speed.ipynb shows the result.
"""
import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F

from extra_nb.fast import attention, model
from extra_nb import sampler
from extra_nb.bench.comparison import machine, now
from extra_nb.running.checkpoints import write_whole
from extra_nb.policy import Policy, keep_freed_memory, load_policy
from extra_nb.bench.workloads import varied, workload

own, work = workload(load_policy("smollm2-135m", compute="fp32"), "a")
policy = varied(own, compute="bf16")


def drawn(limit: int | None = None):
    return sampler.sample(policy, list(work.requests), work.group_size, max_new_tokens=limit or work.max_new_tokens)


def sampling():
    policy.decoding_model = policy.decoding = None  # what is taken away may be in there
    drawn(2)
    start = now(policy.device)
    drawn()
    return now(policy.device) - start


def update(**options):
    start = now(policy.device)
    logprobs, _ = sampler.score(policy, rollouts, **options)
    (logprobs * torch.linspace(-1, 1, len(logprobs))).sum().backward()
    policy.model.zero_grad(set_to_none=True)
    return now(policy.device) - start


def plain_decoder(policy, contexts, copies, shared=None): return sampler.PlainDecoder(policy, contexts, copies)


def plain_product(weight, bias): return lambda x: F.linear(x, weight, bias)


def not_compiled(): return patch.object(model, "can_fuse", lambda: False)


def in_turns(what, without=nullcontext, **options) -> list[dict[str, float]]:
    "Seconds with a change, and in the context `without` or with `options` that take it away."
    found = []
    for _ in range(rounds):
        found.append({"with": what()})
        with without(): found[-1]["without"] = what(**options)
        print("  " + ", ".join(f"{k} {v:.2f} s" for k, v in found[-1].items()), flush=True)
    return found


def peak() -> float:
    "Operations per second of a product of large bf16 matrices."
    x, best = torch.randn(4096, 4096).bfloat16(), float("inf")
    for _ in range(5):
        start = time.perf_counter()
        x @ x
        best = min(best, time.perf_counter() - start)
    return 2 * 4096**3 / best


rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
rollouts = [r for group in drawn() for r in group]
print("freed memory"), update()
before = [update() for _ in range(rounds)]  # it cannot be taken back, so this one comes first
keep_freed_memory()
update()
parts = {"update": {"freed memory is kept": [{"with": update(), "without": seconds} for seconds in before]}, "sampling": {}}
for name, change in {"the decoder": lambda: patch.object(sampler, "decoder", plain_decoder),
                     "matrices in the processor's form": lambda: patch.object(model, "_product", plain_product),
                     "compiled operations": not_compiled}.items():
    print(name)
    parts["sampling"][name] = in_turns(sampling, change)
print(name := "16 rows at a time")
with not_compiled(): parts["sampling"][name] = in_turns(sampling, lambda: patch.object(sampler, "AT_A_TIME", {}))  # compiled draws have no use for it
for name, change, options in (("prompts once for a group", nullcontext, {"share_contexts": False}),
                              ("no logits kept", lambda: patch.object(Policy, "adjusts", True), {}),
                              ("attention of rows", lambda: patch.object(attention, "_gains", lambda policy: False), {})):
    print(name)
    parts["update"][name] = in_turns(update, change, **options)
head = policy.base.get_output_embeddings().weight.numel()
weights = {"head": head, "body": sum(p.numel() for p in policy.base.parameters()) - head}  # the embedding is the head
write_whole(Path(sys.argv[1]), json.dumps({"unit": "seconds", "parts": parts, "peak": peak(), "weights": weights, **machine()}, indent=2))
