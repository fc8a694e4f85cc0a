"The fast decoder equals the plain one: architectures, adapters, precisions, shared prefixes, rows that leave, room that runs out."
import policies
import pytest
import torch
from torch.testing import assert_close

from extra_nb.fast import cache, decoder as fast_decoder, model
from extra_nb.fast.cache import shared_prefix
from extra_nb.fast.decoder import FastDecoder, decoding_model
from extra_nb.policy import Policy, cache_argument, recompute_activations, tiny_policy
from extra_nb.sampler import PlainDecoder, decoder, recompute, sample
from extra_nb.types import Problem, Request

SMALL = dict(vocab_size=80, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
             max_position_embeddings=128, bos_token_id=None, eos_token_id=1, pad_token_id=0)


def policy_of(kind, **config):
    import transformers

    tiny = tiny_policy()
    settings = {**SMALL, "vocab_size": len(tiny.tokenizer), **config}
    if kind == "GPT2": settings = dict(vocab_size=len(tiny.tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=128, eos_token_id=1, bos_token_id=None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{kind}ForCausalLM" if kind != "GPT2" else "GPT2LMHeadModel")(getattr(transformers, f"{kind}Config")(**settings))
    return Policy(model.eval(), tiny.tokenizer, kind, template="plain", instruction="{problem}\n")


@torch.inference_mode()
def both_ways(policy, contexts, copies, steps=6, atol=1e-4, leave=2):
    plain, fast = PlainDecoder(policy, contexts, copies), FastDecoder(policy, contexts, copies, decoding_model(policy))
    for t in range(steps):
        assert_close(fast.logits(), plain.logits(), atol=atol, rtol=atol)
        tokens = plain.logits().argmax(-1)
        plain.step(tokens), fast.step(tokens)
        if t == leave:
            index = torch.arange(0, len(tokens), 2)
            plain.keep(index), fast.keep(index)


CONTEXTS = {"shared": [[5, 6, 7, 8, 9], [5, 6, 7, 10], [5, 6, 11, 12, 13, 14]], "none": [[5, 6, 7], [6, 7, 8, 9, 10], [7]], "one": [[5, 6, 7, 8]],
            "prefix of another": [[5, 6, 7], [5, 6, 7, 8, 9, 10]], "same length": [[5, 6, 7], [5, 6, 8]]}


@pytest.mark.parametrize("contexts", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("group", [1, 3])
def test_both_ways_agree(contexts, group):
    both_ways(tiny_policy(), contexts, torch.arange(len(contexts)).repeat_interleave(group))


@pytest.mark.parametrize("kind, decoding", [("Llama", "fast"), ("Qwen2", "fast"), ("Qwen3", "fast"), ("Gemma2", "plain"), ("Mistral", "plain")])
def test_architectures(kind, decoding):
    policy = policy_of(kind, **({"sliding_window": 8} if kind == "Mistral" else {}))
    found = decoding_model(policy)
    assert policy.decoding == decoding and (found is None) == (decoding == "plain")
    if found: both_ways(policy, CONTEXTS["shared"], torch.tensor([0, 0, 1, 2, 2]))
    rollout = sample(policy, [Request(Problem("a", "3+5", "8"))], 2, max_new_tokens=12)[0][1]
    logprobs, entropies = recompute(policy, rollout)
    assert_close(rollout.logprobs, logprobs, atol=1e-4, rtol=1e-4)
    assert_close(rollout.entropies, entropies, atol=1e-4, rtol=1e-4)


def test_any_other_architecture_is_decoded_somehow():
    policy = policy_of("GPT2")
    rollout = sample(policy, [Request(Problem("a", "3+5", "8"))], 2, max_new_tokens=8)[0][0]
    assert policy.decoding in ("fast", "plain")
    assert_close(rollout.logprobs, recompute(policy, rollout)[0], atol=1e-4, rtol=1e-4)


def test_adapters_are_decoded_as_they_are():
    policy = policies.adapted(0.1)
    both_ways(policy, CONTEXTS["shared"], torch.tensor([0, 1, 2, 2]))
    assert policy.decoding == "fast"


def test_half_precision_stays_near():
    policy = tiny_policy(compute_dtype="bf16")
    both_ways(policy, CONTEXTS["shared"], torch.tensor([0, 1, 2, 2]), atol=0.1, leave=9)
    assert policy.base.dtype == torch.float32 and decoding_model(policy).model.get_output_embeddings()(torch.ones(1, 64)).dtype == torch.bfloat16


@pytest.mark.parametrize("compute", ["fp32", "bf16"])
def test_the_decoding_model_follows_the_weights(compute):
    policy = tiny_policy(compute_dtype=compute)
    requests = [Request(Problem("a", "3+5", "8"))]
    before = sample(policy, requests, 4, max_new_tokens=16)[0]
    with torch.no_grad():
        for p in policy.model.parameters(): p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    after, fresh = sample(policy, requests, 4, max_new_tokens=16)[0], tiny_policy(compute_dtype=compute)
    fresh.model.load_state_dict(policy.model.state_dict())
    assert any(a.text != b.text for a, b in zip(before, after))
    for a, b in zip(after, sample(fresh, requests, 4, max_new_tokens=16)[0]): assert_close(a.logprobs, b.logprobs) and a.text == b.text


def test_the_decoding_model_holds_no_second_copy_in_32_bits():
    policy = tiny_policy()
    theirs = {p.data_ptr() for p in policy.model.parameters()}
    assert {p.data_ptr() for p in decoding_model(policy).model.parameters()} == theirs


def test_room_grows():
    both_ways(tiny_policy(), CONTEXTS["none"], torch.tensor([0, 1, 2]), steps=70)


def test_a_model_that_disagrees_is_decoded_the_plain_way(monkeypatch):
    monkeypatch.setattr(cache, "_one_query", lambda q, *args: torch.zeros(q.shape[0], 1, q.shape[1], q.shape[3]))
    policy = tiny_policy()
    assert decoding_model(policy) is None and policy.decoding == "plain"
    assert type(decoder(policy, [[5, 6]], torch.tensor([0]))) is PlainDecoder


@pytest.mark.parametrize("compute, module, breaks, decoding, said", [
    ("fp32", fast_decoder, "DecodingModel", "plain", "fast: not made for its layers (AttributeError: moved)"),
    ("bf16", model, "_fuse", "fast", "drawn the fast way (fused: not made for its layers (AttributeError: moved))")])
def test_a_way_that_breaks_is_said(compute, module, breaks, decoding, said, monkeypatch, caplog):
    "As when a release of transformers changes what it hands to a layer."

    def moved(*args): raise AttributeError("moved")

    monkeypatch.setattr(module, breaks, moved)
    monkeypatch.setattr(model, "can_fuse", lambda: True)
    policy = tiny_policy(compute_dtype=compute)
    decoding_model(policy), decoding_model(policy)
    assert policy.decoding == decoding and [said in line for line in caplog.messages] == [True]


@pytest.mark.filterwarnings("error::FutureWarning")
@pytest.mark.parametrize("made", [tiny_policy, lambda: tiny_policy(compute_dtype="bf16"), lambda: policies.adapted(0.1)], ids=["fp32", "bf16", "lora"])
def test_nobody_is_told_of_what_is_deprecated(made):
    policy = made()
    rollout = sample(policy, [Request(Problem("a", "3+5", "8"))], 2, max_new_tokens=4)[0][0]
    recompute(policy, rollout), recompute_activations(policy.model)


def test_the_cache_goes_by_the_name_that_a_module_knows():
    class Now:
        def forward(self, input_ids, cache=None): pass

    class Before:
        def forward(self, input_ids, past_key_values=None): pass

    assert (cache_argument(Now), cache_argument(Before)) == ("cache", "past_key_values")


@pytest.mark.parametrize("weights, decoding", [(1, "plain"), (40, "fast")])
def test_what_may_differ_is_measured_by_rounding(weights, decoding, monkeypatch):
    "A disturbance that a calm policy shows at once is lost in the rounding of a wild one, whose plain way is as far from the truth."
    right = cache._one_query
    monkeypatch.setattr(model, "can_fuse", lambda: False)  # or it would not be used
    monkeypatch.setattr(cache, "_one_query", lambda *args: right(*args) * 1.2)
    policy = tiny_policy(layers=24, compute_dtype="bf16")
    with torch.no_grad():
        for p in policy.model.parameters():
            if p.ndim > 1: p.mul_(weights)
    decoding_model(policy)
    assert policy.decoding == decoding and policy.compute_dtype == "bf16"


@pytest.mark.parametrize("contexts, length", [([[1, 2, 3], [1, 2, 4]], 2), ([[1], [1]], 0), ([[1, 2], [1, 2]], 1), ([[3, 1], [2, 1]], 0), ([[9]], 0)])
def test_shared_prefix(contexts, length): assert shared_prefix(contexts) == length


@torch.inference_mode()
@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("more", [[[5, 6, 20]], [[5, 6, 21, 22, 23, 24, 25, 26, 27, 28, 29], [5, 6, 30]]], ids=["short", "long"])
@pytest.mark.parametrize("left", [[], [0], [1, 4], [0, 1, 2, 3, 4, 5]], ids=len)
def test_new_rows_take_the_place_of_old_ones(group, more, left):
    "Rows that stay, rows that start, of other lengths, at any time, and again."
    policy = tiny_policy()
    contexts, copies = CONTEXTS["shared"], torch.arange(3).repeat_interleave(2 if group > 1 else 1)
    left = torch.tensor([i for i in left if i < len(copies)], dtype=torch.long)
    old = PlainDecoder(policy, contexts, copies)
    fast = FastDecoder(policy, contexts, copies, decoding_model(policy), shared_prefix([*contexts, *more]))
    for _ in range(3): tokens = old.logits().argmax(-1); old.step(tokens), fast.step(tokens)
    young = PlainDecoder(policy, more, new := torch.arange(len(more)).repeat_interleave(group))
    fast.refill(left, more, new)
    parts = [young]
    if len(left): old.keep(left); parts = [old, young]
    for t in range(40):
        logits = [p.logits() for p in parts]
        assert_close(fast.logits(), torch.cat(logits), atol=1e-4, rtol=1e-4)
        for p, x in zip(parts, logits): p.step(x.argmax(-1))
        fast.step(torch.cat(logits).argmax(-1))
        if t == 20:
            newest = PlainDecoder(policy, more[:1], torch.zeros(group, dtype=torch.long))
            n = sum(len(p.hidden) for p in parts)
            fast.refill(torch.arange(n), more[:1], torch.zeros(group, dtype=torch.long))
            parts = [*parts, newest]


@torch.inference_mode()
def test_groups_that_lose_rows_unevenly():
    policy = tiny_policy()
    copies = torch.arange(3).repeat_interleave(4)
    plain, fast = (make(policy, CONTEXTS["none"], copies, *rest) for make, rest in ((PlainDecoder, ()), (FastDecoder, (decoding_model(policy),))))
    for index in ([0, 1, 2, 3, 4, 8, 9], [0, 4, 5, 6], [1, 2, 3], [2]):  # a group that is whole, one that shrinks, one that goes
        plain.keep(torch.tensor(index)), fast.keep(torch.tensor(index))
        for _ in range(2):
            assert_close(fast.logits(), plain.logits(), atol=1e-4, rtol=1e-4)
            tokens = plain.logits().argmax(-1)
            plain.step(tokens), fast.step(tokens)
    assert len(fast.cache.prefixes.empty) == 1  # what nobody continues is let go


def test_prompts_are_read_a_few_at_a_time(monkeypatch):
    monkeypatch.setitem(fast_decoder.PREFILL, "cpu", 8)
    for group in (1, 3): both_ways(tiny_policy(), CONTEXTS["shared"], torch.arange(3).repeat_interleave(group))


def test_layers_that_read_the_same_input_are_one_matrix():
    policy = tiny_policy(compute_dtype="bf16")
    shapes = [[layer.out_features for layer in matrix.layers] for matrix in decoding_model(policy).matrices]
    assert shapes == [[64, 32, 32], [64], [128, 128], [64]] * 2 + [[len(policy.tokenizer)]]


@pytest.mark.parametrize("fate", ["recorded", "fails", "differs"])
def test_steps_that_are_recorded_and_replayed(monkeypatch, fate):
    "A stand-in for a GPU's graph: it writes into the same result again, from the same inputs. Rows leave, come and outgrow their room meanwhile."
    made = []

    def recorded(run):
        if fate == "fails": raise RuntimeError("operation not permitted when stream is capturing")
        out = run()
        made.append(0)

        def replay():
            made[-1] += 1
            out.copy_(run() if fate == "recorded" else torch.zeros_like(out))

        return replay, out

    monkeypatch.setattr(fast_decoder, "_recorded", recorded)
    policy = tiny_policy()
    decodes = decoding_model(policy)
    decodes.records = True
    both_ways(policy, CONTEXTS["shared"], torch.arange(3).repeat_interleave(4), steps=80, leave=50)
    assert decodes.records == (fate == "recorded")
    if fate == "recorded": assert len(made) == 4 and sum(made) > 60  # from the start, two growths, and rows that leave
    else: assert sum(made) == (fate == "differs")
