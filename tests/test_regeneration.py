"Hard problems, their prefixes, the queue, and the groups that come of them."
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, tensor
from torch.testing import assert_close

from extra_nb.policy import tiny_policy
from extra_nb.prefix import mean_token_entropy
from extra_nb.regeneration import PrefixRegeneration, gap_of_cuts, is_hard, share_of_step, most_confident
from extra_nb.sampler import check_fits, context_of, sample
from extra_nb.tasks import arithmetic
from extra_nb.train import TrainConfig, Trainer
from extra_nb.types import Group, InputError, Problem, Request, Rollout, Verdict

LETTERS = SimpleNamespace(encode=lambda problem: [*map(ord, problem.prompt)], decode=lambda ids: "".join(map(chr, ids)), piece=chr, context_length=1000)
P, Q = Problem("p", "1+1?", "2"), Problem("q", "1+2?", "3")


def rollout(text, H, request, i=0):
    H = tensor(H, dtype=torch.float32) if isinstance(H, list) else torch.full((len(text),), float(H))
    return Rollout(request, i, tensor([*map(ord, text)]), -H, H, "stop", text)


def group(answers, right=0, request=Request(P)):
    "`answers`: (text, entropy); the first `right` of them are correct."
    rollouts = tuple(rollout(text, H, request, i) for i, (text, H) in enumerate(answers))
    verdicts = tuple(Verdict(i < right, "correct" if i < right else "wrong") for i in range(len(answers)))
    return Group(request, rollouts, verdicts, tensor([float(v.correct) for v in verdicts]))


def regen(policy=LETTERS, max_new_tokens=10, G=2, **kwargs):
    r = PrefixRegeneration(**{"start_step": 0, "min_gap": 1, "embedder": "ngram", **kwargs})
    r.setup(policy, SimpleNamespace(group_size=G, max_new_tokens=max_new_tokens, problems_per_step=512))  # 16 a step
    return r


def texts(archive): return ["".join(map(chr, p.ids.tolist())) for p in archive.prefixes]


def queued(r): return [(request.problem.id, "".join(map(chr, request.prefix_ids))) for _, request in r.queue]


# ---- hard, most_confident

@pytest.mark.parametrize("hard, most", [("le_1", 1), ("zero", 0)])
@pytest.mark.parametrize("G", [2, 4, 8])
def test_hard_means_a_pass_rate_of_at_most_one_in_G(hard, most, G):
    for n in range(G + 1): assert is_hard(torch.arange(G) < n, hard) == (n <= most)


def test_hard_groups_only():
    for n, hard in ((0, 1), (1, 1), (2, 0), (3, 0)):
        metrics = regen().step_end(1, [group([("a\nb\nc", 1)] * 3, right=n)])
        assert metrics["regen/hard"] == metrics["regen/queue"] == hard
    assert regen(hard="zero").step_end(1, [group([("a\nb\nc", 1)] * 3, right=1)])["regen/hard"] == 0


def test_surest_is_by_mean_not_by_sum_and_over_the_whole_trajectory():
    g = group([("ab", 0.5), ("abcdef", 0.4), ("abc", 0.6)])
    assert most_confident(g.rollouts) is g.rollouts[1]
    # the replayed prefix (mean 2) weighs more in the shorter response
    again = Request(P, (97,) * 4, (2.0,) * 4, "regeneration")
    g = group([("a", 0.5), ("abcdefgh", 0.6)], request=again)
    assert most_confident(g.rollouts) is g.rollouts[1]


# ---- from a hard group to a request

def test_the_surest_response_is_cut_and_its_best_prefix_queued():
    # entropies fall along the response, so its longest prefix has the lowest MTE; the last line end is dropped
    sure = ("aa\nbb\ncc\nd", [1.0] * 3 + [0.5] * 3 + [0.1] * 4)
    r = regen(tau=1e-3)
    r.step_end(1, [group([("x\ny\nz", 2.0), sure])])
    assert texts(r.archives["p"]) == ["aa\n", "aa\nbb\n"]
    assert [p.entropy for p in r.archives["p"].prefixes] == [pytest.approx(1), pytest.approx(0.75)]
    (request,) = r.plan(2, 8)
    assert request == Request(P, tuple(map(ord, "aa\nbb\n")), (1.0,) * 3 + (0.5,) * 3, "regeneration")


def test_a_problem_is_given_the_best_of_all_its_prefixes():
    r = regen(tau=1e-3)
    r.step_end(1, [group([("good\nx", 0.1)] * 2)])
    r.plan(2, 8)
    r.step_end(2, [group([("poor\nx", 0.9)] * 2)])
    assert texts(r.archives["p"]) == ["good\n", "poor\n"] and queued(r) == [("p", "good\n")]
    r.plan(3, 8)
    metrics = r.step_end(3, [group([("no line end", 0.01)] * 2)])  # nothing to cut, but the archive still has something to offer
    assert metrics["regen/no_cut"] == 1 and queued(r) == [("p", "good\n")]


def test_without_a_prefix_nothing_is_queued():
    metrics = regen().step_end(1, [group([("no line end", 1)] * 2)])
    assert metrics["regen/no_cut"] == metrics["regen/hard"] == 1 and metrics["regen/queue"] == 0


@pytest.mark.parametrize("at, cuts", [("line", []), ("sentence", ["One."]), ("entropy", ["One. Two"])])
def test_where_to_cut_is_an_option(at, cuts):
    text = "One. Two. Three"
    H = [0.1] * len(text)
    H[8] = 3.0
    r = regen(cut_at=at, min_gap=3)
    r.step_end(1, [group([(text, H)] * 2)])
    assert [texts(a) for a in r.archives.values()] == ([cuts] if cuts else [])


# ---- regenerated groups

def test_later_cuts_count_the_whole_trajectory():
    again = Request(P, tuple(map(ord, "a\nb\n")), (2.0, 2.0, 1.0, 1.0), "regeneration")
    r = regen()
    r.step_end(1, [group([("cc\ndd\nee\nf", 0.5), ("cc\n", 3.0)], request=again)])
    assert texts(r.archives["p"]) == ["a\nb\ncc\n", "a\nb\ncc\ndd\n"]  # nothing at or before the prefix; the last line end dropped
    assert r.archives["p"].prefixes[0].entropy == pytest.approx((2 + 2 + 1 + 1 + 3 * 0.5) / 7)
    assert_close(r.archives["p"].prefixes[1].entropies, tensor([2.0, 2, 1, 1] + [0.5] * 6))


def test_later_cuts_keep_their_distance_from_the_prefix():
    again = Request(P, tuple(map(ord, "aaaa\n")), (1.0,) * 5, "regeneration")
    r = regen(min_gap=4)
    r.step_end(1, [group([("b\nccc\ndddd\neeee\n", 0.5)] * 2, request=again)])
    assert texts(r.archives["p"]) == ["aaaa\nb\nccc\n", "aaaa\nb\nccc\ndddd\n"]


def test_metrics_of_regenerated_groups():
    again = [Request(p, tuple(map(ord, t)), (1.0,) * len(t), "regeneration") for p, t in ((P, "a\n"), (Q, "bbb\n"), (P, "c\n"))]
    answers = [("x\ny", 1.0)] * 3
    metrics = regen().step_end(1, [group(answers, 3, again[0]), group(answers, 2, again[1]), group(answers, 0, again[2]), group(answers, 1)])
    assert metrics == pytest.approx({"regen/groups": 3, "regen/rescued": 2, "regen/mixed": 1 / 3, "regen/prefix_len": 8 / 3, "regen/hard": 2,
                                     "regen/queue": 1, "regen/dropped": 0, "regen/refused": 0, "regen/no_cut": 0})
    plain = regen().step_end(1, [group(answers, 3)])
    assert plain == {f"regen/{k}": 0.0 for k in ("groups", "rescued", "hard", "queue", "dropped", "refused", "no_cut")}


def test_a_problem_hard_twice_in_a_step_feeds_one_archive_and_is_queued_once():
    again = Request(P, tuple(map(ord, "a\n")), (1.0, 1.0), "regeneration")
    r = regen(tau=1e-3)
    metrics = r.step_end(1, [group([("x\ny", 0.5)] * 2), group([("b\nc", 0.1)] * 2, request=again)])
    assert texts(r.archives["p"]) == ["x\n", "a\nb\n"]
    assert metrics["regen/hard"] == 2 and len(r.queue) == 1
    other = regen(tau=1e-3)
    other.step_end(1, [group([("b\nc", 0.1)] * 2, request=again), group([("x\ny", 0.5)] * 2)])
    assert queued(other) == queued(r)


# ---- the queue

def hard_problem(i): return group([(f"{i}\nx", 1.0)] * 2, request=Request(Problem(f"p{i}", "?", "")))


def test_queue_is_first_in_first_out_and_bounded():
    r = regen(queue_size=3, per_step=2)
    dropped = [r.step_end(1, [hard_problem(i) for i in group_of])["regen/dropped"] for group_of in ([0, 1], [2, 3, 4])]
    assert dropped == [0, 2] and [p for p, _ in queued(r)] == ["p2", "p3", "p4"]
    assert [q.problem.id for q in r.plan(2, 8)] == ["p2", "p3"]  # per_step
    assert [q.problem.id for q in r.plan(2, 0)] == []  # no slots left
    assert [q.problem.id for q in r.plan(2, 8)] == ["p4"]
    assert r.plan(2, 8) == []


@given(st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=5), st.integers(0, 4)), max_size=12), st.integers(1, 6))
@settings(deadline=None)
def test_queue_loses_nothing_uncounted(steps, size):
    r, planned, found, dropped = regen(queue_size=size, per_step=3), 0, 0, 0
    for step, (hard, slots) in enumerate(steps, 1):
        requests = r.plan(step, slots)
        assert len(requests) <= min(slots, 3) and len({q.key for q in requests}) == len(requests)
        planned += len(requests)
        waiting = {p for p, _ in queued(r)}
        found += len({f"p{i}" for i in hard} - waiting)
        metrics = r.step_end(step, [hard_problem(i) for i in hard])
        dropped += metrics["regen/dropped"]
        assert metrics["regen/queue"] == len(r.queue) <= size
        assert found == planned + dropped + len(r.queue)


def test_what_already_waits_is_not_queued_again():
    r = regen()
    for step in (1, 2): r.step_end(step, [hard_problem(0)])
    assert len(r.queue) == 1
    r.step_end(3, [hard_problem(1), hard_problem(0)])
    assert [p for p, _ in queued(r)] == ["p0", "p1"]


def test_regeneration_starts_after_start_step():
    r = regen(start_step=3)
    for step in (1, 2): assert r.plan(step, 8) == [] and r.step_end(step, [hard_problem(step)])["regen/queue"] == 0
    assert sorted(r.archives) == ["p1", "p2"]  # archives fill from the first step on
    assert r.plan(3, 8) == [] and r.step_end(3, [hard_problem(3)])["regen/queue"] == 1
    assert [q.problem.id for q in r.plan(4, 8)] == ["p3"]


def test_a_full_queue_waits_for_start_step_too(stored):
    "As after a resume with a later start."
    early, late = regen(), regen(start_step=5)
    early.step_end(1, [hard_problem(0)])
    late.load_state_dict(stored(early.state_dict()))
    assert [len(late.plan(step, 8)) for step in (2, 5, 6)] == [0, 0, 1]


def test_wait_is_the_time_in_the_queue():
    r = regen(per_step=1)
    r.step_end(1, [hard_problem(0), hard_problem(1)])
    for step, wait in ((2, 1.0), (3, 2.0)):
        (request,) = r.plan(step, 8)
        assert r.step_end(step, [group([("x", 1.0)] * 3, 3, request)])["regen/wait"] == wait
    assert "regen/wait" not in r.step_end(4, [])


# ---- what does not fit

@pytest.mark.parametrize("context, fits", [(20, True), (19, False)])
def test_a_prefix_fits_to_the_last_token_or_is_refused_and_counted(context, fits):
    policy = SimpleNamespace(**{**vars(LETTERS), "context_length": context})
    r = regen(policy, max_new_tokens=10)  # 4 prompt + 6 prefix + 10 new
    metrics = r.step_end(1, [group([("aaaaa\nb", 1.0)] * 2)])
    assert (metrics["regen/refused"], metrics["regen/queue"], metrics["regen/no_cut"]) == ((0, 1, 0) if fits else (1, 0, 0))
    if fits: check_fits(policy, r.plan(2, 1)[0], 10)


def test_shorter_prefixes_of_the_same_response_stay():
    policy = SimpleNamespace(**{**vars(LETTERS), "context_length": 20})
    r = regen(policy)
    assert r.step_end(1, [group([("aa\naa\naa\naa\nb", 1.0)] * 2)])["regen/refused"] == 1
    assert texts(r.archives["p"]) == ["aa\n", "aa\naa\n"]


# ---- selection

def test_random_selection_is_a_control_that_can_be_repeated():
    def chosen(**kwargs):
        r, found = regen(select="random", **kwargs), []
        for step in range(1, 25):
            r.step_end(step, [group([("".join(f"{i}\n" for i in range(10)), [0.1 * k for k in range(20)])] * 2)] if step == 1 else [
                group([("flat", 1.0)] * 2)])
            found += [len(q.prefix_ids) for q in r.plan(step + 1, 8)]
        return found
    first = chosen()
    assert first == chosen() != chosen(seed=1)
    assert len(set(first)) > 4


@pytest.mark.parametrize("kwargs, message", [
    ({"hard": "le1"}, "did you mean 'le_1'"), ({"cut_at": "lines"}, "did you mean 'line'"), ({"select": "entropi"}, "did you mean 'entropy'"),
    ({"tau": 0}, "tau must be above 0"), ({"queue_size": 0}, "queue_size must be at least 1; got 0"), ({"archive_size": 0}, "archive_size"),
    ({"per_step": -1}, "per_step must be at least 0"), ({"start_step": -1}, "start_step"), ({"min_gap": 0}, "min_gap"), ({"max_cuts": 0}, "max_cuts")])
def test_bad_settings_are_refused_in_one_line(kwargs, message):
    with pytest.raises(InputError, match=message) as e: PrefixRegeneration(**kwargs)
    assert "\n" not in str(e.value)


# ---- how many groups, how far apart

@pytest.mark.parametrize("problems", [*range(1, 70), 127, 128, 256, 512, 1024])
def test_by_default_a_thirty_second_of_a_step_at_least_one_at_most_a_quarter(problems):
    n = share_of_step(problems)
    assert n <= problems / 4 and n <= max(1, problems / 32) and (n >= 1) == (problems >= 4)
    r = PrefixRegeneration(start_step=0, embedder="ngram")
    r.setup(LETTERS, TrainConfig(problems_per_step=problems))
    r.queue.extend((1, Request(Problem(str(i), "?", ""))) for i in range(512))
    assert len(r.plan(2, problems)) == r.per_step == n and bool(r.remark) == (problems < 4)


@pytest.mark.parametrize("tokens, gap", [(1, 4), (32, 4), (64, 4), (100, 6), (256, 16), (512, 32), (4096, 32)])
def test_by_default_cuts_are_a_sixteenth_of_a_response_apart(tokens, gap):
    assert gap_of_cuts(tokens) == gap
    r = PrefixRegeneration(embedder="ngram")
    r.setup(LETTERS, TrainConfig(max_new_tokens=tokens))
    assert r.min_gap == gap


@pytest.mark.parametrize("problems, per_step, said", [(8, 16, "8 of a step's 8 groups"), (8, 3, "3 of a step's 8 groups"), (3, 1, "1 of a step's 3 groups"),
                                                      (8, 2, ""), (4, 1, ""), (512, 16, ""), (8, 0, ""), (2, 0, "")])
def test_a_number_of_ones_own_is_obeyed_and_said_if_it_is_more_than_a_quarter(problems, per_step, said):
    r = PrefixRegeneration(per_step=per_step, min_gap=1, embedder="ngram")
    r.setup(LETTERS, TrainConfig(problems_per_step=problems))
    assert (r.per_step, r.min_gap) == (per_step, 1) and said in r.remark and bool(r.remark) == bool(said) and "\n" not in r.remark


def test_setup_for_another_run_decides_anew():
    r = PrefixRegeneration(embedder="ngram")
    for config, wanted in ((TrainConfig(problems_per_step=2), (0, 16)), (TrainConfig(problems_per_step=64, max_new_tokens=96), (2, 6))):
        r.setup(LETTERS, config)
        assert (r.per_step, r.min_gap) == wanted
    assert r.remark == ""


@pytest.mark.parametrize("options, most", [({}, 1), ({"per_step": 16}, 8)])
def test_a_default_trainer_keeps_three_quarters_of_its_groups(policy, options, most):
    "Nothing is ever right, so the queue is full from the first step on."
    class Never:
        def judge(self, problems, responses): return [Verdict(False, "wrong") for _ in responses]

    said = []
    trainer = Trainer(policy, arithmetic(16, levels=(2, 3), seed=1), [PrefixRegeneration(start_step=1, embedder="ngram", cut_at="entropy", **options)],
                      verifier=Never(), say=said.append, steps=6, max_new_tokens=24, lr=0.0)
    history = trainer.fit()
    assert trainer.config.problems_per_step == 8 and max(m["regen/groups"] for m in history) == most
    assert all(m["regen/groups"] <= m["groups/count"] / 4 for m in history) == (not options)
    rung = {name for m in history for name in m["alarms"]}
    assert ("regenerated_groups" in rung) == bool(options) == any("8 of a step's 8" in line for line in said)


@pytest.mark.parametrize("embedder, error", [(lambda texts: 1 / 0, ZeroDivisionError), (lambda texts: torch.full((len(texts), 2), float("nan")), InputError)])
def test_a_failing_embedder_is_heard(embedder, error):
    with pytest.raises(error): regen(embedder=embedder).step_end(1, [group([("a\nb", 1.0)] * 2)])


def test_prefixes_of_a_step_are_embedded_together_as_text():
    calls = []

    def spy(texts):
        calls.append(texts)
        return torch.ones(len(texts), 2)

    regen(embedder=spy).step_end(1, [group([("a\nb\nc", 1.0)] * 2), group([("d\ne\nf\ng", 1.0)] * 2, request=Request(Q))])
    assert calls == [["a\n", "d\n", "d\ne\n"]]


# ---- resuming

def test_resuming_changes_nothing(stored):
    rng = torch.Generator().manual_seed(0)

    def draw(request):
        def text(): return "".join("ab\n"[int(c)] for c in torch.randint(3, (12,), generator=rng))
        rollouts = tuple(rollout(text(), torch.rand(12, generator=rng).tolist(), request, i) for i in range(3))
        right = (torch.rand(3, generator=rng) > 0.7).tolist()
        return Group(request, rollouts, tuple(Verdict(ok, "correct" if ok else "wrong") for ok in right), tensor(right).float())

    def run(r, first, last):
        log = []
        for step in range(first, last):
            requests = r.plan(step, 2)
            rng.manual_seed(step)  # the same responses, whichever object asks
            groups = [draw(q) for q in [*requests, Request(P), Request(Q), Request(Problem(f"n{step}", "?", "1", "toy", 3))]]
            log.append((requests, r.step_end(step, groups)))
        return log

    options = {"per_step": 2, "queue_size": 3, "archive_size": 7}
    whole = run(regen(**options), 1, 13)
    half = regen(**options)
    run(half, 1, 7)
    resumed = regen(**options)
    resumed.load_state_dict(stored(half.state_dict()))
    assert run(resumed, 7, 13) == whole[6:]
    assert sum(len(requests) for requests, _ in whole[6:]) > 6
    assert sum(m["regen/dropped"] for _, m in whole) > 0


def test_state_has_few_tensors_however_many_problems():
    def count(x): return sum(map(count, x.values())) if isinstance(x, dict) else isinstance(x, Tensor)
    r = regen()
    r.step_end(1, [hard_problem(i) for i in range(50)])
    assert count(r.state_dict()) == count(regen().state_dict()) == 6


# ---- with a real sampler

@pytest.fixture(scope="module")
def policy(): return tiny_policy()


def test_regenerated_groups_answer_their_own_problem(policy):
    """The slot's other problem has another answer. The release would compare the guided responses with that one."""
    mine, other = Problem("mine", "7+5+3=?", "15"), Problem("other", "2+2=?", "4")
    request = Request(mine)
    ids = tuple(policy.tokenizer.encode("7+5=12\n12+3=15\n", add_special_tokens=False))
    H = torch.linspace(0.1, 1, len(ids))
    failed = [Rollout(request, i, tensor(ids), -H, H, "length", policy.decode(ids)) for i in range(2)]
    r = regen(policy, max_new_tokens=12, min_gap=1, tau=1e-3)
    r.step_end(1, [Group(request, tuple(failed), (Verdict(False, "wrong"),) * 2, torch.zeros(2))])
    requests = [*r.plan(2, 1), Request(other)]
    groups = sample(policy, requests, 3, max_new_tokens=12, seed_key=(0, 2))
    prefix = requests[0].prefix_ids
    assert policy.decode(prefix) == "7+5=12\n"
    assert context_of(policy, requests[0]) == [*policy.encode(mine), *prefix]
    for x in groups[0]:
        assert x.problem == mine and x.problem.answer == "15"
        assert x.text.startswith("7+5=12\n") and len(x.tokens) <= 12
        assert x.trajectory_ids == prefix + tuple(x.tokens.tolist())
        expected = (sum(requests[0].prefix_entropies) + x.entropies.sum().item()) / (len(prefix) + len(x.tokens))
        assert mean_token_entropy(x.trajectory_entropies) == pytest.approx(expected, abs=1e-5)
    assert all(x.problem == other for x in groups[1])


def test_ids_are_replayed_not_re_encoded(policy):
    "`\\boxed{` is one token, or seven characters: the prefix keeps whichever was sampled."
    characters = tuple(policy.tokenizer.convert_tokens_to_ids(list("\\boxed{")))
    assert policy.tokenizer.encode("\\boxed{", add_special_tokens=False) != list(characters)
    newline = policy.tokenizer.convert_tokens_to_ids("\n")
    ids, request = (*characters, newline, newline, characters[0]), Request(P)
    failed = [Rollout(request, i, tensor(ids), torch.zeros(len(ids)), torch.ones(len(ids)), "length", policy.decode(ids)) for i in range(2)]
    r = regen(policy, min_gap=1)
    r.step_end(1, [Group(request, tuple(failed), (Verdict(False, "wrong"),) * 2, torch.zeros(2))])
    assert r.plan(2, 1)[0].prefix_ids == (*characters, newline, newline)
