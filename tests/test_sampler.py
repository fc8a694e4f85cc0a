"The sampler against a plain recomputation, against the model's own probabilities, and against itself."
import pytest
import torch
from torch.testing import assert_close

from extra_nb.policy import tiny_policy
from extra_nb.sampler import check_fits, draw, nucleus, recompute, sample, logprobs_of, token_stats
from extra_nb.types import InputError, Problem, Request, generator


@pytest.fixture(scope="module")
def policy():
    return tiny_policy(seed=3)


def requests(policy):
    "Prompts of very different lengths, and a prefix."
    asked = [Request(Problem(f"p{n}", "1+" * n + "2", "0")) for n in (1, 4, 19)]
    prefix = tuple(policy.tokenizer("1+2=3\n").input_ids)
    return asked + [Request(asked[1].problem, prefix, (0.1,) * len(prefix), "regeneration")]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("max_rows", [3, 256])
def test_recorded_numbers_equal_one_row_at_a_time(policy, temperature, max_rows):
    groups = sample(policy, requests(policy), 3, max_new_tokens=15, temperature=temperature, max_rows=max_rows)
    for r in (r for g in groups for r in g):
        logprobs, entropies = recompute(policy, r, temperature)
        assert_close(r.logprobs, logprobs, atol=1e-4, rtol=0)
        assert_close(r.entropies, entropies, atol=1e-4, rtol=0)
        assert r.tokens.shape == r.logprobs.shape == r.entropies.shape


def test_replay_is_what_transformers_computes(policy):
    "`recompute` is the truth that all else is held against, so it is checked against the model's own forward pass."
    request = requests(policy)[3]
    (rollout,) = sample(policy, [request], 1, max_new_tokens=10)[0]
    context = policy.encode(request.problem) + list(request.prefix_ids)
    logits = policy.model(torch.tensor([context + rollout.tokens.tolist()])).logits[0, len(context) - 1 : -1]
    distribution = torch.distributions.Categorical(logits=logits)
    assert_close(recompute(policy, rollout)[0], distribution.log_prob(rollout.tokens), atol=1e-5, rtol=0)
    assert_close(recompute(policy, rollout)[1], distribution.entropy(), atol=1e-5, rtol=0)


def test_company_and_order_change_nothing(policy):
    asked = requests(policy)
    together = sample(policy, asked, 4, max_new_tokens=12, seed_key=(7, 2))
    backwards = sample(policy, asked[::-1], 4, max_new_tokens=12, seed_key=(7, 2), max_rows=4)[::-1]
    alone = [sample(policy, [r], 4, max_new_tokens=12, seed_key=(7, 2))[0] for r in asked]
    for a, b, c in zip(together, backwards, alone):
        for x, y, z in zip(a, b, c): assert x.tokens.tolist() == y.tokens.tolist() == z.tokens.tolist()


def test_a_larger_group_begins_with_the_smaller_one(policy):
    request = requests(policy)[:1]
    few, many = sample(policy, request, 2, max_new_tokens=12)[0], sample(policy, request, 5, max_new_tokens=12)[0]
    assert [r.tokens.tolist() for r in few] == [r.tokens.tolist() for r in many[:2]]


def test_same_problem_from_prompt_and_prefix_draws_different_numbers(policy):
    problem = Problem("p", "1+2", "3")
    prefix = tuple(policy.tokenizer("1").input_ids)
    a, b = sample(policy, [Request(problem), Request(problem, prefix, (0.0,))], 1, max_new_tokens=20)
    assert a[0].tokens.tolist() != b[0].tokens.tolist()


def test_a_request_asked_twice_is_answered_differently(policy):
    "A small problem set can deal one problem twice where one epoch meets the next."
    request = requests(policy)[0]
    twice = sample(policy, [request, request], 2, max_new_tokens=12)
    four = sample(policy, [request], 4, max_new_tokens=12)[0]
    assert [r.tokens.tolist() for g in twice for r in g] == [r.tokens.tolist() for r in four]


@pytest.mark.parametrize("temperature, top_p", [(1.0, 1.0), (0.7, 1.0), (1.0, 0.5), (0.6, 0.8)])
def test_first_tokens_follow_the_policy(policy, temperature, top_p):
    "Shares of 4,000 first tokens against the model's own probabilities."
    n, request = 4000, Request(Problem("p", "1+2", "3"))
    rollouts = sample(policy, [request], n, max_new_tokens=1, temperature=temperature, top_p=top_p, max_rows=n)[0]
    counts = torch.bincount(torch.tensor([r.tokens[0] for r in rollouts]), minlength=len(policy.tokenizer))
    logits = policy.model(torch.tensor([policy.encode(request.problem)])).logits[0, -1].detach()
    p = (logits / temperature).softmax(-1)
    order = p.argsort(descending=True)
    keep = order[: int((p[order].cumsum(0) < top_p).sum()) + 1] if top_p < 1 else order
    expected = torch.zeros_like(p)
    expected[keep] = p[keep] / p[keep].sum()
    assert counts[expected == 0].sum() == 0
    # each count lies within 5 standard deviations of a binomial: about 80 tokens, so a false alarm in 1 of 20,000 seeds
    deviation = (counts - n * expected).abs() / (n * expected * (1 - expected)).clamp(min=1).sqrt()
    assert deviation.max() < 5


def test_recorded_numbers_are_of_the_full_distribution_under_a_nucleus(policy):
    r = sample(policy, requests(policy)[:1], 1, max_new_tokens=8, temperature=0.7, top_p=0.3)[0][0]
    assert_close(r.logprobs, recompute(policy, r, 0.7)[0], atol=1e-4, rtol=0)


def test_greedy_takes_the_most_likely_token(policy):
    r = sample(policy, requests(policy)[:1], 2, max_new_tokens=6, temperature=0)[0]
    assert r[0].tokens.tolist() == r[1].tokens.tolist()
    context = policy.encode(r[0].problem)
    logits = policy.model(torch.tensor([context + r[0].tokens.tolist()])).logits[0, len(context) - 1 : -1]
    assert r[0].tokens.tolist() == logits.argmax(-1).tolist()


@pytest.mark.parametrize("ends", [(0,), (0, 5, 6, 7), tuple(range(40))])
def test_every_end_token_ends(ends):
    policy = tiny_policy(seed=3)
    policy.eos_ids = ends
    for r in (r for g in sample(policy, requests(policy), 8, max_new_tokens=9) for r in g):
        inside, last = r.tokens[:-1].tolist(), r.tokens[-1].item()
        assert not set(inside) & set(ends)
        assert (r.finish_reason == "stop") == (last in ends)
        assert r.finish_reason == "stop" or len(r.tokens) == 9


def test_text_includes_the_prefix_and_no_special_tokens(policy):
    policy_, request = policy, requests(policy)[3]
    for r in sample(policy_, [request], 16, max_new_tokens=9)[0]:
        assert r.text.startswith("1+2=3\n") and "<end>" not in r.text


def test_scores_with_gradient_equal_recorded_ones(policy):
    rollouts = [r for g in sample(policy, requests(policy), 3, max_new_tokens=14) for r in g]
    for kwargs in ({}, {"share_contexts": False}, {"chunk": 5}):
        logprobs, entropies = logprobs_of(policy, rollouts, **kwargs)
        assert logprobs.requires_grad and not entropies.requires_grad
        assert_close(logprobs.detach(), torch.cat([r.logprobs for r in rollouts]), atol=1e-4, rtol=0)
        assert_close(entropies, torch.cat([r.entropies for r in rollouts]), atol=1e-4, rtol=0)


def test_responses_of_one_token_can_be_scored():
    policy = tiny_policy(seed=3)
    policy.eos_ids = tuple(range(len(policy.tokenizer)))
    rollouts = list(sample(policy, requests(policy)[:1], 3, max_new_tokens=4)[0])
    assert_close(logprobs_of(policy, rollouts)[0].detach(), torch.cat([r.logprobs for r in rollouts]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("vocabulary", [1, 2, 255, 256, 257, 1000, 5000])
def test_draw_is_the_first_token_whose_cumulated_probability_exceeds_u(vocabulary):
    g = generator("draw", vocabulary)
    probs = torch.rand(400, vocabulary, generator=g, dtype=torch.float64) ** 8
    probs[:, ::3] = 0 if vocabulary > 2 else probs[:, ::3]
    u = torch.rand(400, generator=g, dtype=torch.float64)
    u[0], u[1] = 0, 1 - 2**-53
    expected = [((row.cumsum(0) > x * row.sum() - 1e-12) & (row > 0)).nonzero()[0].item() for row, x in zip(probs, u)]
    found = draw(probs, u)
    assert (probs.gather(1, found[:, None]) > 0).all()
    assert [(a, b) for a, b in zip(found.tolist(), expected) if a != b] == []


def test_draw_never_picks_an_impossible_token():
    probs = torch.zeros(1000, 50)
    allowed = torch.randint(0, 50, (1000,), generator=generator("draw test"))
    probs[torch.arange(1000), allowed] = 1e-6
    u = torch.rand(1000, generator=generator("u"))
    u[:2] = torch.tensor([0.0, 1 - 2**-24])
    assert draw(probs, u).tolist() == allowed.tolist()


def test_nucleus_keeps_the_token_that_crosses_the_line():
    p = torch.tensor([[0.4, 0.3, 0.2, 0.1]])
    assert (nucleus(p, 0.69) > 0).tolist() == [[True, True, False, False]]
    assert (nucleus(p, 0.71) > 0).tolist() == [[True, True, True, False]]
    assert (nucleus(p, 1e-9) > 0).sum() == 1


def test_token_stats_in_half_precision_stay_in_float32():
    logits = torch.randn(4, 7, generator=generator("h")).bfloat16()
    logprobs, entropies = token_stats(logits, torch.zeros(4, dtype=torch.long))
    assert logprobs.dtype == entropies.dtype == torch.float32


@pytest.mark.parametrize("kwargs, words", [
    ({"max_new_tokens": 0}, "max_new_tokens=0"), ({"max_new_tokens": 4, "temperature": -1.0}, "temperature=-1.0"),
    ({"max_new_tokens": 4, "temperature": float("nan")}, "temperature=nan"), ({"max_new_tokens": 4, "top_p": 0.0}, "top_p=0.0"),
    ({"max_new_tokens": 4, "top_p": 1.5}, "top_p=1.5"), ({"max_new_tokens": 250}, "does not fit"),
])
def test_bad_input_is_refused_before_anything_is_generated(policy, kwargs, words):
    with pytest.raises(InputError, match=words): sample(policy, requests(policy), 2, **kwargs)


def test_a_prefix_counts_towards_the_context(policy):
    request = Request(Problem("p", "1+2", "3"), tuple([4] * 200), (0.0,) * 200)
    with pytest.raises(InputError, match="200 prefix"): check_fits(policy, request, 60)


@pytest.mark.parametrize("group, max_rows", [(1, 2), (2, 4), (2, 6), (2, 1000)])
def test_requests_that_wait_take_the_places_of_rows_that_have_ended(group, max_rows, monkeypatch):
    "Many ends, many requests, few places: the same responses as one request at a time."
    import extra_nb.sampler as module

    policy, refills = tiny_policy(), []
    policy.eos_ids = tuple(range(0, 80, 9))
    requests = [Request(Problem(f"p{i}", "1+2" * (1 + i % 4), "3")) for i in range(9)]
    made = module.decoder
    monkeypatch.setattr(module, "decoder", lambda *args: watched(made(*args), refills))
    together = sample(policy, requests, group, max_new_tokens=20, max_rows=max_rows)
    assert bool(refills) == (max_rows < 9 * group)
    for request, rollouts in zip(requests, together):
        assert {r.finish_reason for r in rollouts} <= {"stop", "length"} and [r.index for r in rollouts] == list(range(group))
        for r, alone in zip(rollouts, sample(policy, [request], group, max_new_tokens=20)[0]):
            assert r.tokens.tolist() == alone.tokens.tolist() and r.finish_reason == alone.finish_reason
            assert_close(r.logprobs, alone.logprobs, atol=1e-4, rtol=1e-4)


def watched(running, calls):
    refill = running.refill

    def note(*args): calls.append(1); return refill(*args)

    running.refill = note
    return running
