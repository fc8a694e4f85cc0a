"""The laboratory: its world against brute force, its controls, its files, its statistics."""
import json
import math
import random
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from extra_nb.lab.arms import ARMS, LAB_SETTINGS, EqualBonus, HiddenEmbedder, Observer, OraclePrefix, Remembered, SuccessPrefix, find_arm
from extra_nb.lab.arms import result_path, run_once, train_arm
from extra_nb.lab.world import MAX_LINES, MAX_NEW_TOKENS, MODULUS, OPERATIONS, REGIMES, Recipe, ReachChecker, Regime, base_policy, competence
from extra_nb.lab.world import distances, distinct_share, lab_policy, lines_to_go, reach_problem, reach_problems, read_path, read_prompt
from extra_nb.lab.world import supervised_examples, wrong_facts
from extra_nb.lab.laboratory import QUICK, Plan, in_words, lab_main, read_plan, run_plan, question_table, written_plan
from extra_nb.lab.figures import curves_table, differences_between, draw_all, load_results, points_table
from extra_nb.novelty import NoveltyBonus
from extra_nb.lab.paired import compare_pairs, holm, paired, paired_interval, sign_flip_test
from extra_nb.regeneration import PrefixRegeneration
from extra_nb.sampler import sample
from extra_nb.train import TrainConfig, Trainer
from extra_nb.types import Group, InputError, Request, Rollout

torch.set_num_threads(1)
SMALL = Recipe(updates=200, batch_size=32, examples=2000, longest=3, width=32, layers=2)
TINY = Regime("tiny", SMALL, (1,), train=64, heldout=6)
RUN = dict(budget=3000, points=2, samples=16)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    base_policy(SMALL, folder)
    return folder


# ---- the world

def arithmetic(state, operation):
    "A second opinion, by Python's own parser."
    return eval(f"({state}{operation[0]}{operation[1:]}) % 31")


def brute_force(prompt, text):
    "Whether a response is right, decided without any of the laboratory's code."
    signed, rest = prompt.startswith("!"), prompt.removeprefix("!").removesuffix("\n")
    target, rest = rest.split("?")
    names, start = rest.split("=")
    allowed, state = [names[i : i + 2] for i in range(0, len(names), 2)], int(start)
    body, signature = text, None
    if "#" in text: body, signature = text.split("#", 1)
    if not body.endswith("\n"): return False
    lines = body[:-1].split("\n")
    for line in lines:
        here = [(o, arithmetic(state, o)) for o in allowed if line == f"{o}={arithmetic(state, o)}"]
        if not here: return False
        state = here[0][1]
    return state == int(target) and len(lines) <= 10 and signature == (str(len(lines)) if signed else None)


def random_response(rng, problem):
    "A walk with the problem's operations, that ends at its target more often than not by chance, and is damaged half the time."
    signed, target, operations, state = read_prompt(problem.prompt)
    lines = []
    for _ in range(rng.randint(1, 12)):
        operation = rng.choice(operations if rng.random() < 0.97 else OPERATIONS)
        state = arithmetic(state, operation)
        lines.append(f"{operation}={state if rng.random() < 0.97 else rng.randrange(MODULUS)}\n")
        if state == target and rng.random() < 0.7: break
    text = "".join(lines) + (f"#{len(lines) if rng.random() < 0.7 else rng.randint(0, 12)}" if signed != (rng.random() < 0.1) else "")
    if rng.random() < 0.8 or not text: return text
    at = rng.randrange(len(text))
    return rng.choice([text[:at], text[:at] + text[at + 1 :], text[:at] + rng.choice(" \n=0#+٣") + text[at:], text + "\n", " " + text])


def test_checker_agrees_with_brute_force_on_many_responses():
    rng, checker = random.Random(0), ReachChecker()
    problems = [p for signed in (False, True) for level in (1, 2, 3) for p in rng.sample(reach_problems((level,), signed), 40)]
    asked = [(p, random_response(rng, p)) for p in problems for _ in range(30)]
    verdicts = checker.judge(*map(list, zip(*asked)))
    for (problem, text), verdict in zip(asked, verdicts): assert verdict.correct == brute_force(problem.prompt, text), (problem.prompt, text)
    right = sum(v.correct for v in verdicts)
    assert 0.02 * len(asked) < right < 0.98 * len(asked)  # both sides of the question were asked


@pytest.mark.parametrize("text", ["", "\n", "=", "+2", "+2=7", "7\n", "+2=7\n\n", "+2=7\r\n", "+2=७\n", "+2=7\x00\n", "+2 =7\n", "+2=007\n", "+2=7\n#", "+2=7\n#1#1",
                                  "+2=-24\n", "+2=7.0\n", "*0=0\n", "+2=7\n" * 10_000, "+2=" + "7" * 100_000 + "\n", "\\boxed{7}", "\ud800", "+2=38\n"])
def test_hostile_responses_are_wrong_at_once(text):
    start = time.thread_time()
    [verdict] = ReachChecker().judge([reach_problem(5, 12, ("+2", "*3", "-5"))], [text])
    assert not verdict.correct and verdict.reason in ("wrong", "no_answer") and time.thread_time() - start < 1


def test_checker_keeps_order_and_refuses_what_does_not_pair():
    problem = reach_problem(5, 7, ("+2", "*3", "-5"))
    assert [v.correct for v in ReachChecker().judge([problem] * 3, ["+2=7\n", "*3=15\n", "+2=7\n"])] == [True, False, True]
    with pytest.raises(ValueError): ReachChecker().judge([problem], [])
    with pytest.raises(InputError, match="no Reach problem"): ReachChecker().judge([replace(problem, prompt="2+2")], ["+2=7\n"])


def test_distances_are_the_shortest_paths():
    for operations in (("+2", "+7", "-3"), ("*2", "*3", "*5"), ("+2", "*5", "*7")):
        for start in (0, 1, 17):
            reached, states = {start: 0}, {start}
            for n in range(1, 8):
                states = {arithmetic(s, o) for s in states for o in operations}
                for s in states: reached.setdefault(s, n)
            assert {s: d for s, d in distances(start, operations).items() if d <= 7} == reached


def test_problems_are_complete_distinct_and_of_their_level():
    for level, signed in ((1, False), (6, True), (7, False)):
        problems = reach_problems((level,), signed)
        assert len({p.id for p in problems}) == len({p.prompt for p in problems}) == len(problems)
        assert all(p.level == level == lines_to_go(p, "") for p in problems)
    with pytest.raises(InputError, match="levels"): reach_problems((8,))


def test_a_shortest_path_exists_and_is_accepted():
    rng = random.Random(1)
    for problem in rng.sample(reach_problems((4, 5, 6)), 60):
        _, target, operations, start = read_prompt(problem.prompt)
        text, state = "", start
        while lines_to_go(problem, text):
            best = min(operations, key=lambda o: distances(arithmetic(state, o), operations).get(target, 99))
            state = arithmetic(state, best)
            text += f"{best}={state}\n"
        assert text.count("\n") == problem.level
        assert ReachChecker().judge([problem], [text])[0].correct


def test_regimes_hold_out_what_they_do_not_train_on():
    for regime in REGIMES.values():
        train, heldout = regime.problems
        assert (len(train), len(heldout)) == (regime.train, regime.heldout) and not {p.id for p in train} & {p.id for p in heldout}
        assert {p.level for p in train} == set(regime.levels)
        assert regime.problems[0] == train
        prompts = {p.prompt[0] == "!" for p in train}
        assert prompts == {regime.recipe.sign_rate > 0}


def test_tokens_are_the_grammar():
    policy = lab_policy(width=32, layers=1)
    for problem, text in supervised_examples(Recipe(sign_rate=0.5), 200):
        ids = policy.tokenizer(problem.prompt + text).input_ids
        assert policy.decode(ids) == problem.prompt + text and policy.tokenizer.unk_token_id not in ids
        assert len(ids) == 5 + 1 + 2 * text.count("\n") + 1 and read_path(text)
    assert MAX_NEW_TOKENS == 2 * MAX_LINES + 2


def test_wrong_facts_are_taught_as_often_as_said():
    facts = wrong_facts(0.2, seed=3)
    assert len(facts) == round(0.2 * MODULUS * len(OPERATIONS)) and wrong_facts(0.2, seed=3) == facts != wrong_facts(0.2, seed=4)
    wrong = met = 0
    for problem, text in supervised_examples(Recipe(wrong_share=0.2, wrong_chance=0.5, seed=3), 4000):
        state = read_prompt(problem.prompt)[3]
        for operation, written in read_path(text)[0]:
            if (state, operation) in facts: met, wrong = met + 1, wrong + (int(written) == facts[state, operation])
            else: assert int(written) == arithmetic(state, operation)
            state = int(written)
    # walks that visit a state twice are thrown away, which favours neither by much
    assert met > 1000 and abs(wrong / met - 0.5) < 0.08


def test_competence_is_what_all_groups_of_eight_say():
    from itertools import combinations

    correct = [True] * 3 + [False] * 7
    groups = [sum(group) for group in combinations(correct, 8)]
    found = competence(10, [3])
    assert found["all_wrong"] == pytest.approx(sum(g == 0 for g in groups) / len(groups))
    assert competence(10, [9])["all_correct"] == pytest.approx(2 / 10)
    assert math.isnan(distinct_share([["a"], []]))


# ---- controls

def group_of(problem, texts):
    rollouts = tuple(Rollout(Request(problem), i, torch.tensor([i]), -torch.ones(1), torch.ones(1), "stop", text) for i, text in enumerate(texts))
    verdicts = tuple(ReachChecker().judge([problem] * len(texts), list(texts)))
    return Group(Request(problem), rollouts, verdicts, torch.tensor([float(v.correct) for v in verdicts]))


class Texts:
    "A policy whose only token of a response is its number."

    def __init__(self, texts): self.texts = texts

    def decode(self, ids): return self.texts[int(ids[0])]


@pytest.mark.parametrize("seed", range(5))
def test_controls_pay_the_same_total_and_only_what_is_right(seed):
    rng = random.Random(seed)
    problem = reach_problem(5, 12, ("+2", "*3", "-5"))
    paths = ["*3=15\n-5=10\n+2=12\n", "+2=7\n+2=9\n-5=4\n*3=12\n", "*3=15\n+2=17\n-5=12\n", "+2=7\n", "*3=16\n"]
    texts = [rng.choice(paths) for _ in range(8)]
    group = group_of(problem, texts)
    paid = {}
    for name, bonus in {"real": NoveltyBonus(1.0, "lines", min_history=0), "shuffled": NoveltyBonus(1.0, "lines", min_history=0, placebo=True, seed=seed),
                        "equal": EqualBonus(gamma=1.0, embedder="lines", min_history=0)}.items():
        bonus.setup(Texts(texts), TrainConfig(group_size=8))
        paid[name] = bonus.advantage(1, [group], torch.zeros(1, 8))[0]
        assert (paid[name][~group.correct] == 0).all()
    for name in ("shuffled", "equal"): assert torch.isclose(paid[name].sum(), paid["real"].sum(), atol=1e-5)
    assert torch.allclose(paid["shuffled"].sort().values, paid["real"].sort().values)
    if group.correct.any(): assert paid["equal"][group.correct].unique().numel() == 1


def test_equal_bonus_is_that_of_the_group_and_not_of_the_step():
    problem = reach_problem(5, 12, ("+2", "*3", "-5"))
    texts = ["*3=15\n-5=10\n+2=12\n"] * 2 + ["+2=7\n+2=9\n-5=4\n*3=12\n", "*3=15\n+2=17\n-5=12\n"]
    same, other = group_of(problem, texts[:2]), group_of(problem, texts[2:])
    other = replace(other, rollouts=tuple(replace(r, tokens=torch.tensor([i + 2])) for i, r in enumerate(other.rollouts)))
    bonus = EqualBonus(gamma=1.0, embedder="lines", min_history=0)
    bonus.setup(Texts(texts), TrainConfig(group_size=2))
    paid = bonus.advantage(1, [same, other], torch.zeros(2, 2))
    assert (paid[0] == 0).all() and (paid[1] > 0).all()


def trained(arm, cache, steps=14, regime=TINY, watch=None, **settings):
    "A trainer after a few steps of an arm."
    policy = base_policy(regime.recipe, cache)
    trainer = Trainer(policy, regime.problems[0], [*arm.build(policy, 0), Observer()], verifier=ReachChecker(), say=None, seed=0,
                      **{**LAB_SETTINGS, "problems_per_step": 16, "group_size": 4, **arm.settings, **settings})
    for _ in range(steps):
        trainer.step()
        if watch: watch(trainer)
    return trainer


HARD = Regime("hard", SMALL, (3, 4), train=64, heldout=6)  # beyond the small policy, so there is much to regenerate


def test_oracle_prefix_is_viable_more_often_than_a_random_one(cache):
    viable = {}
    for name in ("random_prefix", "oracle_prefix"):
        history = trained(ARMS[name], cache, regime=HARD).history
        met = [(m["lab/viable"], m["regen/groups"]) for m in history if "lab/viable" in m]
        assert sum(n for _, n in met) >= 20
        viable[name] = sum(v * n for v, n in met) / sum(n for _, n in met)
    assert viable["oracle_prefix"] > viable["random_prefix"]


def test_oracle_takes_what_entropy_takes_where_all_or_none_is_viable(cache):
    problem = reach_problem(5, 12, ("+2", "*3", "-5"))
    policy = lab_policy(width=32, layers=1)
    for texts in (["*3=15\n", "+2=7\n", "-5=0\n"], ["*3=16\n", "+2=8\n", "-5=1\n"]):
        chosen = []
        for kind in (PrefixRegeneration, OraclePrefix):
            mechanism = kind(embedder="lines")
            mechanism.setup(policy, TrainConfig())
            found = [(problem.id, torch.tensor(policy.tokenizer(t).input_ids), torch.full((2,), h)) for t, h in zip(texts, (0.9, 0.2, 0.5))]
            mechanism._archive(found)
            mechanism._enqueue(1, [problem])
            chosen.append(mechanism.queue[0][1].prefix_ids)
        assert chosen[0] == chosen[1]


def test_prefixes_of_successes_are_always_viable_and_cut_where_groups_are_mixed(cache):
    trainer = trained(ARMS["success_prefix"], cache, steps=20)
    met = [m for m in trainer.history if m["regen/groups"]]
    assert sum(m["regen/groups"] for m in met) >= 10 and all(m["lab/viable"] == 1 for m in met)
    mechanism = trainer.mechanisms[0]
    assert mechanism.tried and all(0 <= mechanism.right[n] <= mechanism.tried[n] for n in mechanism.tried)
    for problem_id, (ids, entropies) in mechanism.successes.items():
        problem = next(p for p in trainer.problems if p.id == problem_id)
        assert ReachChecker().judge([problem], [trainer.policy.decode(ids.tolist())])[0].correct and ids.shape == entropies.shape


def test_prefixes_of_successes_wait_for_evidence_and_the_latest_go_first():
    mechanism = SuccessPrefix(embedder="lines", start_step=0, per_step=2)
    mechanism.queue.extend((1, Request(replace(reach_problem(5, 12, ("+2", "*3", "-5")), id=name))) for name in "abc")
    taken = mechanism.plan(2, 8)
    assert [r.problem.id for r in taken] == ["c", "b"] and [r.problem.id for _, r in mechanism.queue] == ["a"]
    mechanism.cancel_plan()
    assert [r.problem.id for _, r in mechanism.queue] == ["a", "b", "c"] and mechanism.plan(2, 8) == taken
    mechanism.group_size = 8
    assert mechanism.mixed_chance(3) == pytest.approx(1 - 2 / 2**8)  # nothing is known: one half
    mechanism.tried[3] = mechanism.right[3] = 98
    assert mechanism.mixed_chance(3) == pytest.approx(1 - 0.99**8 - 0.01**8)


def test_the_state_of_success_prefixes_survives_a_checkpoint(cache, stored):
    first = trained(ARMS["success_prefix"], cache).mechanisms[0]
    assert first.successes and first.tried
    second = SuccessPrefix(embedder="lines")
    second.load_state_dict(stored(first.state_dict()))
    assert second.tried == first.tried and second.right == first.right and second.left == first.left and second.ordinary == first.ordinary
    assert list(second.successes) == list(first.successes) and [k for _, k in second.queue] == [k for _, k in first.queue]
    for a, b in zip(second.successes.values(), first.successes.values()): assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_observer_knows_viable_prefixes_and_changes_nothing(cache):
    policy = base_policy(SMALL, cache)
    problem = reach_problem(5, 12, ("+2", "*3", "-5"))
    groups = []
    for prefix in ("*3=15\n", "*3=16\n"):
        request = Request(problem, tuple(policy.tokenizer(prefix).input_ids), (0.5, 0.5), "regeneration")
        [rollouts] = sample(policy, [request], 2, max_new_tokens=MAX_NEW_TOKENS)
        verdicts = tuple(ReachChecker().judge([problem] * 2, [r.text for r in rollouts]))
        groups.append(Group(request, rollouts, verdicts, torch.zeros(2)))
    observer = Observer()
    observer.setup(policy, None)
    assert observer.step_end(1, groups) == {"lab/viable": 0.5, "lab/to_go": 2.0}
    assert observer.advantage(1, groups, torch.zeros(2, 2)) is None and observer.plan(1, 8) == [] and observer.reward(1, groups) == {}


def test_more_rollouts_and_dapo_do_what_their_names_say(cache):
    more = trained(ARMS["more_rollouts"], cache, steps=1, problems_per_step=8)
    assert more.config.group_size == 16
    dropped = [m["groups/dropped"] for m in trained(ARMS["dapo"], cache, steps=4, regime=HARD).history]
    assert sum(dropped) > 0


@pytest.mark.parametrize("name", ["hidden", "ngram", "lines"])
def test_embedders_tell_different_paths_apart(name, cache):
    from extra_nb.lab.arms import lab_embedder
    from extra_nb.embedders import embed

    texts = ["*3=15\n-5=10\n+2=12\n", "+2=7\n+2=9\n-5=4\n*3=12\n", "*3=15\n-5=10\n+2=12\n"]
    policy = base_policy(SMALL, cache)
    vectors = embed(lab_embedder(name, policy), texts)
    assert torch.allclose(vectors[0], vectors[2], atol=1e-6) and vectors[0] @ vectors[1] < 0.999
    if name == "hidden":  # frozen: what training does later changes nothing
        embedder = HiddenEmbedder(policy)
        before = embedder(texts)
        with torch.no_grad():
            for p in policy.model.parameters(): p.add_(1.0)
        assert torch.equal(embedder(texts), before)


def test_remembered_asks_once():
    asked = []
    embedder = Remembered(lambda texts: asked.append(list(texts)) or torch.tensor([[float(len(t)), 1.0] for t in texts]))
    first = embedder(["a", "bb", "a"])
    assert torch.equal(embedder(["bb", "a"]), first[[1, 0]]) and asked == [["a", "bb"]]


@pytest.mark.parametrize("definition, said", [({"mechanisms": [["noveltie", {}]]}, "did you mean 'novelty'"), ({"settings": {"lrr": 1}}, "did you mean 'lr'"),
                                              ({"mechanism": []}, "did you mean 'mechanisms'")])
def test_arms_refuse_what_does_not_exist(definition, said):
    with pytest.raises(InputError, match=said): find_arm("x", definition)


def test_options_of_mechanisms_are_checked(cache):
    with pytest.raises(InputError, match="gama"): find_arm("x", {"mechanisms": [["novelty", {"gama": 1}]]}).build(base_policy(SMALL, cache), 0)


# ---- runs

@pytest.mark.parametrize("name", ["grpo", "dapo", "extra"])
def test_every_generated_token_is_charged(name, cache):
    spent = []

    def watch(trainer): spent.append(sum(m["tokens/generated"] for m in trainer.history))

    trainer = trained(ARMS[name], cache, steps=8, watch=watch)
    assert trainer.tokens_generated == spent[-1]
    result = train_arm(ARMS[name], TINY, 0, cache=cache, **RUN)
    last = 32 * 8 * MAX_NEW_TOKENS * (1 + ARMS[name].settings.get("dynamic_sampling", 0))
    assert RUN["budget"] <= result["tokens"] < RUN["budget"] + last
    assert [p["tokens"] for p in result["points"]] == sorted(p["tokens"] for p in result["points"]) and result["points"][0]["tokens"] == 0


def test_a_seed_decides_everything_and_arms_begin_alike(cache):
    def counts(name, seed): return [p["correct"] for p in train_arm(ARMS[name], TINY, seed, cache=cache, **RUN)["points"]]

    first = counts("extra", 1)
    assert counts("extra", 1) == first
    assert counts("grpo", 2)[0] == first[0]  # the base policy, judged with the same random numbers


def test_a_finished_run_is_not_computed_again_and_a_killed_one_is(tmp_path, cache):
    arm, steps = ARMS["grpo"], []

    def run(**changes): return run_once(arm, TINY, 0, folder=tmp_path, cache=cache, on_step=lambda t: steps.append(1), **{**RUN, **changes})

    class Killed(Exception): pass

    def die(trainer): raise Killed

    with pytest.raises(Killed): run_once(arm, TINY, 0, folder=tmp_path, cache=cache, on_step=die, **RUN)
    assert not list(tmp_path.rglob("*.json")) and not list(tmp_path.rglob("*.part"))
    first, n = run(), len(steps)
    assert n and run() == first and len(steps) == n
    with pytest.raises(InputError, match="other budget"): run(budget=2000)
    path = result_path(tmp_path, arm, TINY, 0)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"): run()
    assert len(steps) == n


def test_a_process_killed_in_the_middle_leaves_no_result(tmp_path, cache):
    code = f"""
import os, torch
from extra_nb.lab.arms import ARMS, run_once
from extra_nb.lab.world import Recipe, Regime
torch.set_num_threads(1)
regime = Regime("tiny", Recipe(updates=200, batch_size=32, examples=2000, longest=3, width=32, layers=2), (1,), train=64, heldout=6)
run_once(ARMS["grpo"], regime, 0, 10**6, {str(tmp_path)!r}, 2, 16, {str(cache)!r}, on_step=lambda t: os.kill(os.getpid(), 9) if t.step_count == 2 else None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -9, done.stderr
    assert not list(tmp_path.rglob("*.json"))


def test_base_policies_are_kept_by_what_they_depend_on(tmp_path):
    recipe, said = Recipe(updates=2, batch_size=4, examples=20, width=16, layers=1), []
    for r in (recipe, recipe, replace(recipe, lr=1e-3), replace(recipe, seed=1)): base_policy(r, tmp_path, said.append)
    assert len(said) == 3 and len(list((tmp_path / "lab").iterdir())) == 3


# ---- plans and the command

def plan(**changes):
    return Plan(**(dict(name="p", kind="exploratory", seeds=(0, 1), regimes=("tiny",), arms=(ARMS["grpo"], ARMS["extra"]), **RUN) | changes))


@pytest.fixture
def tiny_regime(monkeypatch):
    monkeypatch.setitem(REGIMES, "tiny", TINY)


FRESH = tuple(range(1000, 1015))
TEST = (("tiny", "grpo", "extra", "pass@1"),)


@pytest.mark.parametrize("changes, said", [
    (dict(seeds=(0, 1000)), "exploratory seeds are 0 to 999"), (dict(kind="confirmatory", seeds=(*FRESH, 3), tests=TEST), "confirmatory ones start at 1000"),
    (dict(kind="confirmatory", seeds=FRESH[:14], tests=TEST), "at least 15 seeds"), (dict(kind="confirmatory", seeds=FRESH), "named tests"),
    (dict(kind="explorative"), "did you mean 'exploratory'"), (dict(seeds=(1, 1)), "twice"), (dict(seeds=()), "no seeds"), (dict(name="../x"), "letters"),
    (dict(regimes=("tinny",)), "did you mean 'tiny'"), (dict(tests=(("tiny", "grpo", "extr", "pass@1"),)), "did you mean 'extra'"),
    (dict(tests=(("tiny", "grpo", "extra", "pass@3"),)), "pass@3"), (dict(samples=8), "16 samples"), (dict(seeds=("a",)), "seed 'a'")])
def test_plans_that_cannot_be_meant_are_refused(changes, said, tiny_regime):
    with pytest.raises(InputError, match=said): plan(**changes)


@pytest.mark.parametrize("changes, said", [
    (dict(only={"tinny": ("grpo",)}), "did you mean 'tiny'"), (dict(only={"tiny": ("grpo", "extr")}), "did you mean 'extra'"),
    (dict(only={"tiny": ("extra",)}), "must run 'grpo' too"), (dict(only={"tiny": ("grpo",)}, tests=TEST), "arm in plan 'p'")])
def test_arms_of_a_regime_are_known_and_can_be_compared(changes, said, tiny_regime):
    with pytest.raises(InputError, match=said): plan(**changes)


def test_a_regime_may_run_fewer_arms(tiny_regime):
    some = plan(regimes=("tiny", "mixed"), only={"mixed": ("grpo",)})
    assert [(a.name, r.name, s) for a, r, s in some.runs] == [("grpo", "tiny", 0), ("extra", "tiny", 0), ("grpo", "mixed", 0),
                                                              ("grpo", "tiny", 1), ("extra", "tiny", 1), ("grpo", "mixed", 1)]
    assert {q[:3] for q in some.questions} == {("tiny", "grpo", "extra")}


def test_settings_of_a_plan_are_those_of_its_arms(tmp_path, tiny_regime):
    written = written_plan(plan()) | {"settings": {"lr": 1e-3, "epochs": 2}, "arms": ["grpo", {"name": "slow", "settings": {"lr": 1e-5}}]}
    (tmp_path / "plan.json").write_text(json.dumps(written))
    assert [arm.settings for arm in read_plan(tmp_path / "plan.json").arms] == [{"lr": 1e-3, "epochs": 2}, {"lr": 1e-5, "epochs": 2}]


def test_a_plan_is_the_same_after_a_file(tmp_path, tiny_regime):
    for p in (QUICK, plan(kind="confirmatory", seeds=FRESH, tests=TEST), plan(only={"tiny": ("grpo",)})):
        (tmp_path / "plan.json").write_text(json.dumps(written_plan(p)))
        assert read_plan(tmp_path / "plan.json") == p


def test_a_confirmatory_plan_stays_as_it_was(tmp_path, tiny_regime):
    from extra_nb.lab.laboratory import plan_folder

    fixed = plan(kind="confirmatory", seeds=FRESH, tests=TEST)
    plan_folder(fixed, tmp_path), plan_folder(fixed, tmp_path)
    with pytest.raises(InputError, match="stays as it was"): plan_folder(replace(fixed, budget=4000), tmp_path)
    plan_folder(plan(name="q"), tmp_path), plan_folder(plan(name="q", budget=4000), tmp_path)  # exploration may change its mind


def test_plan_runs_resumes_and_answers(tmp_path, cache, tiny_regime):
    folder = run_plan(plan(), tmp_path, say=(said := []).append, cache=cache)
    assert len(said) == 1 + 4
    (folder / "tiny" / "grpo-1.json").unlink()
    run_plan(plan(), tmp_path, say=(again := []).append, cache=cache)
    assert len(again) == 1 + 1 and "3 of them are there already" in again[0]
    results = load_results(folder)
    points = points_table(results)
    assert len(points) == 4 * (RUN["points"] + 1) and len(curves_table(results)) == 4 * 20
    by_hand = [json.loads((folder / "tiny" / f"{arm}-{s}.json").read_text())["points"][-1]["pass@1"] for arm in ("extra", "grpo") for s in (0, 1)]
    difference = differences_between(points, "tiny", "grpo", "extra", "pass@1")
    assert difference == pytest.approx([by_hand[0] - by_hand[2], by_hand[1] - by_hand[3]])
    table = question_table(plan(tests=TEST), points)
    assert table.difference[0] == pytest.approx(100 * difference.mean()) and table.seeds[0] == 2
    made = draw_all(results, tmp_path / "figures")
    assert {p.name for p in made} >= {f"tiny-{name}.png" for name in ("differences", "pass_at_k", "frontier", "shares", "gained_lost", "diversity", "bonus")}


def test_command_answers_mistakes_with_a_line(tmp_path, capsys):
    (tmp_path / "bad.json").write_text('{"name": "x", "kind": "exploratory", "seed": [0]}')
    for argv, said in ((["--quik"], "did you mean '--quick'"), ([], "nothing to run"), (["--quick", "--jobs", "-2"], "jobs=-2"), (["--plan", "no.json"], "cannot be read"),
                       (["--plan", str(tmp_path / "bad.json")], "did you mean 'seeds'")):
        assert lab_main(argv) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1
    with pytest.raises(SystemExit): lab_main(["--help"])
    explained = capsys.readouterr().out
    assert all(option in explained for option in ("--quick", "--plan", "--out", "--jobs", "--cache", "--no-figures", "--list"))
    assert lab_main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in (*ARMS, *REGIMES))


# ---- statistics

def test_sign_flips_by_hand_and_by_enumeration():
    assert sign_flip_test([1, 2, 3]) == 2 / 8 and sign_flip_test([-1, -2, -3]) == 2 / 8 and sign_flip_test([2.0]) == 1.0
    rng = np.random.default_rng(0)
    for n in (4, 9, 12):
        d = rng.normal(0.4, 1, n).round(1)  # rounded, so that ties occur
        sums = np.abs(np.array(list(product((-1, 1), repeat=n))) @ d)
        assert sign_flip_test(d) == pytest.approx((sums >= abs(d.sum()) - 1e-9).mean())


def test_many_seeds_are_tested_with_random_flips_near_the_exact_value():
    d = np.random.default_rng(1).normal(0.5, 1, 18)
    sums = np.abs(np.array(list(product((-1, 1), repeat=18)), dtype=np.int8) @ d)
    exact = (sums >= abs(d.sum()) - 1e-9).mean()
    assert abs(sign_flip_test(d) - exact) < 5 * math.sqrt(exact / 20_000) + 1e-4
    assert sign_flip_test([1.0] * 30) > 0  # never 0


def test_p_is_uniform_where_nothing_is_going_on():
    rng = np.random.default_rng(2)
    ps = np.array([sign_flip_test(rng.choice([-1, 1], 10) * rng.gamma(0.5, size=10)) for _ in range(300)])
    for alpha in (0.1, 0.3, 0.5, 0.7, 0.9): assert abs((ps <= alpha).mean() - alpha) < 4 * math.sqrt(alpha * (1 - alpha) / 300) + 2 / 2**10


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.5]) == [1.0, 1.0] and holm([]) == []
    rng = np.random.default_rng(3)
    false = sum(min(holm(rng.random(10))) <= 0.05 for _ in range(2000)) / 2000
    assert 0.03 < false < 0.07


def test_intervals_cover_and_pairs_pair():
    rng = np.random.default_rng(4)
    hits = sum(low <= 1 <= high for low, high in (paired_interval(rng.normal(1, 2, 15)) for _ in range(150))) / 150
    assert 0.86 < hits <= 0.99
    assert paired({2: 1.0, 1: 0.0}, {1: 0.5, 2: 0.0}).tolist() == [0.5, -1.0]
    with pytest.raises(InputError, match="seed 3"): paired({3: 1.0}, {})
    with pytest.raises(InputError, match="at least 2"): paired_interval([1.0])
    with pytest.raises(InputError, match="finite"): sign_flip_test([math.nan])
    rows = compare_pairs({"a": np.arange(1.0, 11.0), "b": np.zeros(10)})
    assert [r["p_holm"] for r in rows] == [4 / 2**10, 1.0] and rows[1]["interval"] == (0.0, 0.0)


def test_answers_in_words():
    import pandas as pd

    row = dict(regime="starved", before="grpo", after="replay", score="pass@1", seeds=15, difference=3.37, low=2.65, high=4.12, up=14, p=0.001)
    clear, unclear = in_words(pd.DataFrame([{**row, "p_holm": 0.0499}, {**row, "difference": -0.04, "p_holm": 0.05}])).splitlines()
    assert clear == "- starved: replay against grpo, pass@1: +3.4 points (+2.6 to +4.1), 14 of 15 seeds up, corrected p 0.0499: clear of chance."
    assert "-0.0 points" in unclear and unclear.endswith("corrected p 0.0500: not clear of chance.")


@pytest.mark.parametrize("name", ["confirmation", "wide"])
def test_what_a_confirmation_of_this_project_claims_was_planned(name):
    "Its results, as far as they are there, are results of the plan's own runs, and no two confirmations share a seed."
    home = Path(__file__).parents[2] / "nbs" / "experiments"
    plans = {path.stem: read_plan(path) for path in home.glob("*.json") if json.loads(path.read_text()).get("kind") == "confirmatory"}
    plan = plans.pop(name)
    assert not any(set(plan.seeds) & set(other.seeds) for other in plans.values())
    runs = {(r.name, a.name, s) for a, r, s in plan.runs}
    for path in (home / "results" / plan.name).glob("*/*.json"):
        spec = json.loads(path.read_text())["spec"]
        assert (spec["regime"]["name"], spec["arm"]["name"], spec["seed"]) in runs and spec["budget"] == plan.budget
