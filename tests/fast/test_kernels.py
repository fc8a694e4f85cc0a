"Compiled operations beside PyTorch's: many shapes, odd sizes, threads, no compiler, a model that disagrees, resumed ways of decoding."
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from extra_nb.fast import kernels
from extra_nb.fast.decoder import FastDecoder, decoding_model
from extra_nb.fast.kernels import attend_one, can_attend, can_fuse, columns_inside, compiled, draw_rows, gated, rms_norm
from extra_nb.policy import tiny_policy
from extra_nb.sampler import PlainDecoder, draw, recompute, sample, token_stats
from extra_nb.types import Problem, Request
from test_decoder import CONTEXTS, policy_of

needs_compiler = pytest.mark.skipif(not can_fuse(), reason="no C compiler here")
BIG = dict(hidden_size=64, head_dim=16, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96)


def test_the_source_is_part_of_the_package():
    "A module is found without being named, a C file is not."
    assert "void attend(" in kernels.kernel_source()
    assert "recursive-include extra_nb *.c" in (Path(__file__).parents[2] / "MANIFEST.in").read_text(encoding="utf-8").splitlines()


def seeded(n): return torch.Generator().manual_seed(n)


@needs_compiler
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 576), (2, 5, 33), (64, 1, 2048)])
def test_rows(shape):
    x, w = torch.randn(shape, generator=seeded(0)) * 5, torch.randn(shape[-1], generator=seeded(1))
    assert_close(rms_norm(x, w, 1e-6), F.rms_norm(x, shape[-1:], w, 1e-6).bfloat16(), atol=0, rtol=0.008)  # a bf16 step
    y = torch.cat([x, x.flip(-1) * 20], -1).bfloat16()
    a, b = y.float().split(shape[-1], -1)
    assert_close(gated(y), (F.silu(a) * b).bfloat16(), atol=1e-30, rtol=0.008)


@needs_compiler
@pytest.mark.parametrize("V", [1, 2, 255, 256, 257, 1000, 49152])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_draws_are_those_of_the_library(V, temperature):
    logits, u = (torch.randn(40, V, generator=seeded(V)) * 6).bfloat16(), torch.rand(40, generator=seeded(1))
    tokens, logprobs, entropies = draw_rows(logits, u, temperature)
    assert (tokens == draw((logits.float() / temperature).softmax(-1), u)).float().mean() > 0.95  # a number between two sums may fall to either
    assert_close((logprobs, entropies), token_stats(logits, tokens, temperature), atol=2e-5, rtol=2e-5)


@needs_compiler
def test_frequencies_are_the_probabilities():
    logits, n = torch.tensor([0.0, 1, -1, -torch.inf, 2, -20]).bfloat16(), 20_000
    tokens, logprobs, _ = draw_rows(logits.expand(n, -1).contiguous(), torch.rand(n, generator=seeded(0)))
    p = logits.double().softmax(-1)
    found = torch.bincount(tokens, minlength=6).double()
    assert found[3] == 0 and ((found - n * p).abs() <= 5 * (n * p * (1 - p)).sqrt() + 1).all()
    assert_close(logprobs.double(), p.log()[tokens], atol=1e-5, rtol=1e-5)


@needs_compiler
@pytest.mark.parametrize("row", [[torch.nan] * 300, [0.0] * 299 + [torch.nan], [torch.inf] + [0.0] * 299])
def test_logits_that_are_no_numbers_give_a_token_and_say_so(row):
    tokens, logprobs, entropies = draw_rows(torch.tensor([row]).bfloat16(), torch.tensor([0.5]))
    assert 0 <= tokens < 300 and logprobs.isnan().all() and entropies.isnan().all()


def formula(qkv, angle, scale, keys, values, column, prefixes, which, empty, g):
    (_, H, _, D), w = keys.shape, prefixes[0].shape[2] if prefixes is not None else 0
    q, nk, nv = (x.unflatten(-1, (-1, D)).double() for x in qkv.split([g * H * D, H * D, H * D], -1))

    def turn(x): return x * angle.cos()[:, None] + torch.cat([-x[..., D // 2 :], x[..., : D // 2]], -1) * angle.sin()[:, None]

    olds = [[*([] if s is None else [s[which].double()]), x[:, :, :column].double()] for s, x in zip((None, None) if prefixes is None else prefixes, (keys, values))]
    k, v = (torch.cat([*old, new[:, :, None]], 2) for old, new in zip(olds, (turn(nk), nv)))
    scores = torch.einsum("bhgd,bhcd->bhgc", turn(q).unflatten(1, (H, g)), k) * scale
    p = scores.masked_fill(empty[:, None, None, : w + column + 1], -torch.inf).softmax(-1)
    return torch.einsum("bhgc,bhcd->bhgd", p, v).flatten(1).float()


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("D, g, H", [(16, 1, 1), (16, 2, 2), (64, 3, 3), (80, 7, 1), (128, 4, 2), (256, 1, 1)])
@pytest.mark.parametrize("w, column, C", [(0, 0, 32), (0, 31, 32), (1, 0, 4), (32, 5, 8), (33, 40, 64), (100, 7, 8)])
def test_attention_is_the_formula(D, g, H, w, column, C, threads):
    B, S, rand = 5, 3, seeded(D + w)
    qkv, own = torch.randn(B, (g + 2) * H * D, generator=rand).bfloat16(), torch.randn(2, B, H, C, D, generator=rand).bfloat16()
    prefixes = torch.randn(2, S, H, w, D, generator=rand).bfloat16() if w else None
    angle, which = torch.rand(B, D // 2, generator=rand).repeat(1, 2) * 6, torch.tensor([0, 0, 1, 2, 2])
    empty = torch.rand(B, w + C, generator=rand) < 0.3
    empty[:, w + column] = False
    own[:, :, :, column:] = torch.nan  # what lies behind is never read
    expected = formula(qkv, angle, D**-0.5, *own, column, prefixes, which, empty, g)
    before, _ = torch.get_num_threads(), torch.set_num_threads(threads)
    try: got = attend_one(qkv, (angle.cos(), angle.sin()), D**-0.5, own, column, (columns_inside(prefixes[0]), prefixes[1]) if w else None, which, empty)
    finally: torch.set_num_threads(before)
    assert_close(got.float(), expected, atol=0.02, rtol=0.02)
    assert_close(own[1][:, :, column].flatten(1), qkv[:, -H * D :], atol=0, rtol=0)
    if column + 1 < C: assert own[:, :, :, column + 1 :].isnan().all()


@pytest.mark.parametrize("D, g", [(8, 1), (24, 2)])
def test_heads_of_other_sizes_are_left_to_pytorch(D, g): assert not can_attend(D, g)


@pytest.mark.parametrize("trouble", ["no compiler", "fails", "folder"])
def test_without_a_compiler_nothing_is_lost(monkeypatch, tmp_path, trouble):
    if trouble == "no compiler": monkeypatch.setattr(kernels, "_compiler", lambda: [str(tmp_path / "cc")])
    if trouble == "fails": monkeypatch.setattr(kernels, "_compiler", lambda: ["false"])
    if trouble == "folder": (tmp_path / "file").write_text("")
    monkeypatch.setenv("EXTRA_NB_CACHE", str(tmp_path / "file" / "below"))
    for memory in (kernels.compiled, kernels._rows, kernels._attention): memory.cache_clear()
    try:
        assert not can_fuse() and not can_attend(64, 3) and compiled("int one() { return 1; }") is None
        policy = policy_of("Llama", **BIG)
        policy.compute_dtype = "bf16"
        assert not decoding_model(policy).fused and policy.decoding == "fast"
    finally:
        for memory in (kernels.compiled, kernels._rows, kernels._attention): memory.cache_clear()


@needs_compiler
def test_a_library_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("EXTRA_NB_CACHE", str(tmp_path))
    source = "int answer() { return 42; }"
    for _ in range(2):
        compiled.cache_clear()
        assert compiled(source).answer() == 42
        assert len(list((tmp_path / "kernels").iterdir())) == 1
    compiled.cache_clear()
    monkeypatch.setattr(kernels, "_processor", lambda: "another one")
    assert compiled(source).answer() == 42 and len(list((tmp_path / "kernels").iterdir())) == 2
    compiled.cache_clear()


def fused(kind="Llama", **config):
    policy = policy_of(kind, **{**BIG, **config})
    policy.compute_dtype = "bf16"
    return policy


@needs_compiler
@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Mistral", "Qwen3"])
@pytest.mark.parametrize("contexts, group", [(CONTEXTS["shared"], 1), (CONTEXTS["shared"], 3), (CONTEXTS["none"], 1), (CONTEXTS["none"], 3), (CONTEXTS["one"], 2)])
def test_fused_steps_stay_near_the_plain_ones(kind, contexts, group):
    policy = fused(kind, **({"sliding_window": None} if kind == "Mistral" else {}))
    model = decoding_model(policy)
    assert model.fused and policy.decoding == "fused"
    copies = torch.arange(len(contexts)).repeat_interleave(group)
    with torch.inference_mode():
        plain, fast = PlainDecoder(policy, contexts, copies), FastDecoder(policy, contexts, copies, model)
        for t in range(70):  # room grows meanwhile
            assert_close(fast.logits(), plain.logits(), atol=0.02, rtol=0.02)
            tokens = plain.logits().argmax(-1)
            plain.step(tokens), fast.step(tokens)
            if t in (2, 5) and len(tokens) > 1: index = torch.arange(1, len(tokens)); plain.keep(index), fast.keep(index)


@needs_compiler
def test_what_is_fused():
    from extra_nb.fast.model import _Attention, _Gated, _Norm

    for kind, attentions in (("Llama", 2), ("Qwen3", 0)):  # Qwen3 normalises queries and keys
        made = [type(m) for m in decoding_model(fused(kind)).model.modules()]
        assert [made.count(c) for c in (_Attention, _Gated, _Norm)] == [attentions, 2, 4]
    odd = [type(m) for m in decoding_model(fused(head_dim=24)).model.modules()]
    assert [odd.count(c) for c in (_Attention, _Gated, _Norm)] == [0, 2, 4]
    assert not decoding_model(tiny_policy()).fused  # 32 bits


@needs_compiler
def test_numbers_are_those_of_the_policy():
    policy = fused()
    rollouts = sample(policy, [Request(Problem("a", "3+5", "8")), Request(Problem("b", "13+5", "18"))], 6, max_new_tokens=20, temperature=0.8)
    assert policy.decoding == "fused"
    for rollout in (r for group in rollouts for r in group):
        logprobs, entropies = recompute(policy, rollout, 0.8)
        assert_close(rollout.logprobs, logprobs, atol=0.03, rtol=0.03)
        assert_close(rollout.entropies, entropies, atol=0.03, rtol=0.03)


@needs_compiler
def test_fused_layers_that_disagree_are_not_used(monkeypatch):
    import extra_nb.fast.model as module

    monkeypatch.setattr(module, "attend_one", lambda qkv, turns, scale, own, *rest: torch.zeros(len(qkv), 64, dtype=torch.bfloat16))
    policy = fused()
    assert not decoding_model(policy).fused and policy.decoding == "fast"


@needs_compiler
@pytest.mark.parametrize("before", ["plain", "fast", "fused"])
def test_a_resumed_run_decodes_as_before(before):
    from extra_nb.running.saving import decode_as_before

    said, policy = [], fused()
    decode_as_before(policy, before, said.append)
    assert policy.decoding == before and not said
    sample(policy, [Request(Problem("a", "3+5", "8"))], 2, max_new_tokens=4)
    assert policy.decoding == before
