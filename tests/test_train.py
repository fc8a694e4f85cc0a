"The trainer: equivalences, faults, and what a gradient may touch."
import json
import math

import pytest
import torch
from torch.testing import assert_close

from extra_nb.embedders import NgramEmbedder
from extra_nb.mechanisms import Mechanism
from extra_nb.grpo import group_advantage, token_weights
from extra_nb.novelty import NoveltyBonus
from extra_nb.policy import load_policy, tiny_policy
from extra_nb.regeneration import PrefixRegeneration
from extra_nb.sampler import sample
from extra_nb.tasks import arithmetic, worked_solution
from extra_nb.running.checkpoints import last_checkpoint, pack, unpack
from extra_nb.running.steps import Clock
from extra_nb.train import RunStopped, TrainConfig, Trainer, batch_loss, learning_rate, micro_batches, warm_start, written_rollout
from extra_nb.types import InputError, Problem, Request, Verdict
from extra_nb.verifier import Verifier

PROBLEMS = arithmetic(24, levels=(2, 3), seed=2)
STARTED = {}
SHARED = Verifier(workers=1)  # so that not every trainer starts workers of its own


def started(seed=0, adapter="none", **kwargs):
    "A tiny policy after a supervised start, so that right and wrong answers both occur; the start is computed once."
    policy = tiny_policy(seed) if adapter == "none" else load_policy("tiny", adapter=adapter, lora_rank=8, seed=seed)
    if (seed, adapter) not in STARTED:
        warm_start(policy, [(p, worked_solution(p)) for p in arithmetic(150, levels=(2, 3), seed=9)], steps=80, lr=1e-2, seed=seed)
        STARTED[seed, adapter] = {k: v.clone() for k, v in policy.model.state_dict().items()}
    policy.model.load_state_dict(STARTED[seed, adapter])
    return policy


def both(**kwargs):
    return [NoveltyBonus(embedder=NgramEmbedder(), min_history=4),
            PrefixRegeneration(start_step=1, per_step=2, min_gap=4, embedder=NgramEmbedder(), **kwargs)]


def trainer(policy=None, mechanisms=(), **settings):
    return Trainer(policy or started(), PROBLEMS, mechanisms,
                   **{"say": None, "steps": 3, "problems_per_step": 4, "group_size": 4, "max_new_tokens": 24, "lr": 1e-3, "verifier": SHARED, **settings})


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.model.parameters() if p.requires_grad])


class Judge:
    "A verifier that decides by a function of (problem, text)."

    def __init__(self, right): self.right = right

    def judge(self, problems, responses):
        return [Verdict(True, "correct") if self.right(p, r) else Verdict(False, "wrong") for p, r in zip(problems, responses)]


EVEN = Judge(lambda p, text: len(text) % 2 == 0)  # right and wrong in every step, whatever the policy knows


@pytest.mark.parametrize("average", ["token", "sequence", "constant"])
@pytest.mark.parametrize("mask_truncated", [False, True])
@pytest.mark.parametrize("kl_coef", [0.0, 0.1])
def test_micro_batches_of_any_size_give_the_same_gradient(average, mask_truncated, kl_coef):
    "Gradients, not weights: Adam turns a difference in the last bit of a tiny gradient into a visible one."
    def gradient(budget):
        policy = started()
        t = trainer(policy, both(), loss_average=average, mask_truncated=mask_truncated, micro_batch_tokens=budget, kl_coef=kl_coef, max_new_tokens=16,
                    verifier=EVEN)
        groups, advantages, _ = t.collect(1, Clock())
        if kl_coef:  # away from the reference, where the KL has a gradient
            with torch.no_grad(): policy.model.lm_head.weight.mul_(1.1)
        t.accumulate([r for g in groups for r in g.rollouts], advantages.flatten())
        t.close()
        return torch.cat([p.grad.flatten() for p in policy.model.parameters()])

    whole = gradient(10**6)
    assert whole.norm() > 0.01
    for budget in (1, 100): assert_close(gradient(budget), whole, atol=1e-6, rtol=1e-4)


def test_micro_batches_hold_every_row_once_and_keep_the_budget():
    policy = started()
    rollouts = [r for g in sample(policy, [Request(p) for p in PROBLEMS[:6]], 4, max_new_tokens=24) for r in g]
    for budget in (1, 50, 200, 10**6):
        batches = micro_batches(policy, rollouts, budget)
        assert sorted(i for b in batches for i in b) == list(range(24))
        for b in batches:
            keys = {rollouts[i].request.key: len(policy.encode(rollouts[i].problem)) for i in b}
            cost = len(b) * max(len(rollouts[i].tokens) for i in b) + len(keys) * max(keys.values())
            assert len(b) == 1 or cost <= budget
    assert micro_batches(policy, [], 10) == []


def test_the_gradient_is_that_of_the_formula_over_new_tokens_only():
    "A plain forward pass over prompt, prefix and response; only the response's tokens enter the loss."
    policy, problem = started(), PROBLEMS[0]
    prefix = tuple(policy.tokenizer("1+2=3\n").input_ids)
    rollouts = list(sample(policy, [Request(problem, prefix, (0.1,) * len(prefix), "regeneration")], 4, max_new_tokens=10)[0])
    # their sum is not 0: otherwise the shared prefix would cancel out and its inclusion could not be seen
    advantages, lengths = torch.tensor([1.5, -0.5, 0.7, -0.5]), torch.tensor([len(r.tokens) for r in rollouts])
    loss, _ = batch_loss(policy, rollouts, advantages, token_weights(lengths), TrainConfig())
    loss.backward()
    ours = torch.cat([p.grad.flatten() for p in policy.model.parameters()])

    def plain(include_prefix):
        policy.model.zero_grad()
        total = torch.tensor(0.0)
        for r, a in zip(rollouts, advantages):
            prompt = policy.encode(problem)
            ids = torch.tensor([prompt + list(prefix) + r.tokens.tolist()])
            logp = policy.model(ids).logits.log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None])[:, 0]
            total = total - a * logp[len(prompt) + (0 if include_prefix else len(prefix)) - 1 :].sum() / lengths.sum()
        total.backward()
        return torch.cat([p.grad.flatten() for p in policy.model.parameters()])

    assert_close(ours, plain(False), atol=1e-5, rtol=1e-4)
    assert (ours - plain(True)).abs().max() > 1e-3


def test_skipping_rows_without_advantage_is_exact():
    policy, other = started(), started()
    rollouts = [r for g in sample(policy, [Request(p) for p in PROBLEMS[:2]], 4, max_new_tokens=20) for r in g]
    advantages = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0])
    w = token_weights(torch.tensor([len(r.tokens) for r in rollouts]))
    batch_loss(policy, rollouts, advantages, w, TrainConfig())[0].backward()
    some = advantages.nonzero()[:, 0]
    batch_loss(other, [rollouts[i] for i in some], advantages[some], w[some], TrainConfig())[0].backward()
    for a, b in zip(policy.model.parameters(), other.model.parameters()): assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-4)


def test_a_regenerated_group_is_judged_against_its_own_problem():
    "Two problems with different answers; the judge records which problem it was shown with which text."
    shown = []
    judge = Judge(lambda p, text: shown.append((p.id, text)) or False)
    t = trainer(mechanisms=both(), steps=6, verifier=judge)
    judged = []
    for _ in range(6):
        kept, advantages, groups = t.collect(t.step_count + 1, Clock())
        judged += groups
        for m in t.mechanisms: m.step_end(t.step_count + 1, groups)
        t.step_count += 1
    regenerated = [g for g in judged if g.request.origin == "regeneration"]
    assert regenerated, "the test needs at least one regenerated group"
    for g in judged:
        for r in g.rollouts: assert (g.problem.id, r.text) in shown
    for g in regenerated:
        text = t.policy.decode(g.request.prefix_ids)
        assert all(r.text.startswith(text) for r in g.rollouts)


def run(out, steps, mechanisms, resume=False, policy=None, **settings):
    policy = policy or started()
    t = trainer(policy, mechanisms, out=out, steps=steps, **settings)
    if resume: t.resume()
    t.fit()
    return weights(policy), [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("mechanisms", [list, lambda: both()[:1], lambda: both()[1:], both], ids=["grpo", "novelty", "regeneration", "both"])
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_resumed_equals_uninterrupted(tmp_path, mechanisms, adapter):
    settings = {"kl_coef": 0.01, "micro_batch_tokens": 120, "lr_schedule": "linear", "warmup_steps": 2}
    whole, log = run(tmp_path / "a", 4, mechanisms(), policy=started(adapter=adapter), **settings)
    # stopped after two of four steps: the schedule must not notice, so the settings stay those of four steps
    t = trainer(started(adapter=adapter), mechanisms(), out=tmp_path / "b", steps=4, **settings)
    t.step(), t.step()
    t.save_checkpoint()
    t.close()
    resumed, again = run(tmp_path / "b", 4, mechanisms(), resume=True, policy=started(adapter=adapter), **settings)
    assert_close(resumed, whole, atol=0, rtol=0)
    assert [{k: v for k, v in m.items() if not k.startswith("time/")} for m in again] == [{k: v for k, v in m.items() if not k.startswith("time/")} for m in log]


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_a_resumed_process_measures_the_kl_from_where_the_run_began(tmp_path, adapter, warm):
    "The new process builds its policy without the warm start, and from another seed: all of it must come from the run."
    settings = {"kl_coef": 0.1, "lr": 3e-3, "verifier": EVEN}

    def fresh(seed=0): return tiny_policy(seed) if adapter == "none" else load_policy("tiny", adapter=adapter, lora_rank=8, seed=seed)

    def start(): return started(adapter=adapter) if warm else fresh()

    whole, log = run(tmp_path / "a", 4, [], policy=start(), **settings)
    t = trainer(start(), out=tmp_path / "b", steps=4, **settings)
    t.step(), t.step()
    t.save_checkpoint()
    t.close()
    other = fresh() if adapter == "lora" else fresh(seed=3)  # an adapter's base model comes from its name, not from the run
    resumed, again = run(tmp_path / "b", 4, [], resume=True, policy=other, **settings)
    assert_close(resumed, whole, atol=0, rtol=0)
    assert [m["loss/kl"] for m in again] == [m["loss/kl"] for m in log]
    assert abs(log[0]["loss/kl"]) < 1e-6 < log[-1]["loss/kl"]


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_the_reference_is_written_once_and_whole(tmp_path, monkeypatch, adapter):
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "of_another_run").touch()
    t, written = trainer(started(adapter=adapter), out=tmp_path, kl_coef=0.1, steps=3, verifier=EVEN), []
    real = t.policy.save_reference
    monkeypatch.setattr(t.policy, "save_reference", lambda folder: written.append(folder) or real(folder), raising=False)
    for _ in range(3):
        t.step()
        t.save_checkpoint()
    t.close()
    assert len(written) == 1 and not (tmp_path / ".reference.part").exists()
    assert not (tmp_path / "reference" / "of_another_run").exists() and list((tmp_path / "reference").glob("*.safetensors"))
    assert not any(p.suffix in (".pt", ".bin", ".pkl") for p in (tmp_path / "reference").iterdir())
    # whoever goes on from here elsewhere takes the reference along
    u = trainer(started(adapter=adapter), out=tmp_path / "else", kl_coef=0.1, steps=4, verifier=EVEN)
    u.resume(tmp_path / "checkpoints" / "step-000002")
    u.save_checkpoint()
    u.close()
    names = [sorted(p.name for p in (folder / "reference").iterdir()) for folder in (tmp_path, tmp_path / "else")]
    assert names[0] == names[1]
    for p in (tmp_path / "reference").glob("*.safetensors"): assert p.read_bytes() == (tmp_path / "else" / "reference" / p.name).read_bytes()


def test_without_a_kl_there_is_no_reference_and_none_can_be_resumed(tmp_path):
    run(tmp_path, 1, [])
    assert not (tmp_path / "reference").exists()
    with pytest.raises(InputError, match="reference' is not there") as e: trainer(out=tmp_path, kl_coef=0.1, steps=2).resume()
    assert "kl_coef=0" in str(e.value) and "\n" not in str(e.value)
    run(tmp_path, 2, [], resume=True)


def test_a_reference_that_cannot_be_written_leaves_no_checkpoint_without_one(tmp_path, monkeypatch):
    t = trainer(out=tmp_path, kl_coef=0.1, verifier=EVEN)
    t.step()
    monkeypatch.setattr(t.policy, "save_reference", lambda folder: (_ for _ in ()).throw(OSError("no space left on device")), raising=False)
    with pytest.raises(OSError): t.save_checkpoint()
    assert not (tmp_path / "checkpoints").exists() and not (tmp_path / "reference").exists()


def test_resume_forgets_lines_after_the_checkpoint(tmp_path):
    t = trainer(out=tmp_path, steps=4)
    t.step()
    t.save_checkpoint()
    t.step()
    (tmp_path / "metrics.jsonl").open("a").write('{"step": 3, "half a li')
    _, log = run(tmp_path, 3, [], resume=True)
    assert [m["step"] for m in log] == [1, 2, 3]
    assert sorted(p.name for p in (tmp_path / "rollouts").iterdir()) == [f"step-00000{i}.jsonl" for i in (1, 2, 3)]


def test_old_checkpoints_are_removed_and_none_is_half_written(tmp_path):
    run(tmp_path, 5, [], checkpoint_every=1, keep_checkpoints=2)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-000004", "step-000005"]
    files = {p.name for p in (tmp_path / "checkpoints" / "step-000005").rglob("*") if p.is_file()}
    assert {"state.json", "state.safetensors", "model.safetensors"} <= files
    assert not any(f.endswith((".pt", ".bin", ".pkl")) for f in files)


def test_a_checkpoint_that_fails_to_be_written_leaves_the_last_one(tmp_path, monkeypatch):
    t = trainer(out=tmp_path)
    t.step()
    good = t.save_checkpoint()
    t.step()
    monkeypatch.setattr("extra_nb.running.saving.write_state", lambda folder, state: (_ for _ in ()).throw(OSError("no space left on device")))
    with pytest.raises(OSError): t.save_checkpoint()
    assert last_checkpoint(tmp_path) == good


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_that_is_not_finite_stops_the_run_before_the_update(tmp_path, what):
    policy = started()
    t = trainer(policy, out=tmp_path, steps=5)
    t.step()
    t.save_checkpoint()
    if what == "loss":
        real = t.compare
        t.compare = lambda step, groups: (lambda found: (found[0], torch.full_like(found[1], math.inf)))(real(step, groups))
    else: policy.model.lm_head.weight.register_hook(lambda g: g * math.nan)
    before = weights(policy).clone()
    with pytest.raises(RunStopped) as e: t.fit()
    assert "step 2" in str(e.value) and "step-000001" in str(e.value) and "\n" not in str(e.value)
    assert_close(weights(policy), before, atol=0, rtol=0)
    assert last_checkpoint(tmp_path).name == "step-000001"


def test_dynamic_sampling_refills_dead_groups_and_counts_them():
    "A judge that finds most problems hopeless: their groups are dropped and replaced, up to the bound."
    judge = Judge(lambda p, text: int(p.answer) % 3 == 0 and len(text) % 2 == 0)
    t = trainer(verifier=judge, dynamic_sampling=3)
    m = t.step()
    judged = m["groups/dropped"] + 4
    assert m["groups/dropped"] > 0
    assert m["tokens/generated"] == round(m["response/length_mean"] * judged * 4) or m["groups/dropped"] < 12
    never = trainer(verifier=Judge(lambda p, text: False), dynamic_sampling=2)
    before = weights(never.policy)
    m = never.step()
    assert m["groups/dropped"] == 12 and m["advantage/abs_mean"] == 0
    assert_close(weights(never.policy), before, atol=1e-4, rtol=0)  # only weight decay moves


def test_dynamic_sampling_keeps_an_all_correct_group_that_earns_a_bonus():
    judge = Judge(lambda p, text: True)

    class Bonus(Mechanism):
        def advantage(self, step, groups, advantages):
            assert_close(advantages, torch.zeros_like(advantages))
            return torch.tensor([[0.1, 0, 0, 0]] + [[0.0] * 4] * (len(groups) - 1))

    m = trainer(mechanisms=[Bonus()], verifier=judge, dynamic_sampling=1, problems_per_step=4).step()
    assert m["groups/dropped"] == 3 + 2  # three of four, then two of the three that replaced them


def test_terms_are_added_where_they_belong():
    class Parts(Mechanism):
        def reward(self, step, groups): return {"part": torch.arange(16.0).reshape(4, 4)}

        def advantage(self, step, groups, advantages): return torch.full((4, 4), 7.0)

    t = trainer(mechanisms=[Parts()], verifier=Judge(lambda p, text: False))
    groups = t.judge(1, t.plan(1), Clock())
    groups, final = t.compare(1, groups)
    assert_close(final, group_advantage(torch.arange(16.0).reshape(4, 4)) + 7)
    assert groups[0].rewards.tolist() == [0, 0, 0, 0] and groups[1].reward_parts["part"].tolist() == [4, 5, 6, 7]


def test_overlong_responses_are_penalised_under_their_own_name(tmp_path):
    _, log = run(tmp_path, 1, [], overlong_buffer=20)
    assert -1 <= log[0]["reward/overlong"] < 0
    rows = [json.loads(line) for line in (tmp_path / "rollouts" / "step-000001.jsonl").read_text().splitlines()]
    assert {r["reward"] for r in rows} <= {0.0, 1.0}


def test_masked_truncated_responses_have_no_gradient():
    "With every response cut at the limit, nothing is left to learn from."
    policy = started()
    before = weights(policy)
    m = trainer(policy, max_new_tokens=3, mask_truncated=True, verifier=EVEN, weight_decay=0.0, steps=1).step()
    assert m["response/truncated_frac"] == 1 and m["loss/skipped_rows"] == 16
    assert_close(weights(policy), before, atol=0, rtol=0)


def test_kl_to_the_start_is_zero_at_first_and_then_grows():
    t = trainer(kl_coef=0.1, steps=4)
    history = t.fit()
    assert abs(history[0]["loss/kl"]) < 1e-6 < history[-1]["loss/kl"]


def test_several_updates_per_step_clip():
    t = trainer(minibatch_problems=1, epochs=3, lr=3e-3, verifier=EVEN, steps=1)
    assert t.fit()[0]["loss/clip_frac"] > 0


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    def tokens(seed): return [m["tokens/generated"] for m in trainer(mechanisms=both(), seed=seed, verifier=None).fit()]

    assert tokens(0) == tokens(0) != tokens(1)


def test_regeneration_takes_slots_without_costing_a_problem_its_turn():
    t = trainer(mechanisms=both(), verifier=Judge(lambda p, text: False), steps=6)
    seen = []
    t.stream.next, draw = (lambda n: seen.extend(found := draw(n)) or found), t.stream.next
    history = t.fit()
    regenerated = sum(m["regen/groups"] for m in history)
    assert regenerated > 0
    assert len(seen) + regenerated == 6 * 4 and len({p.id for p in seen}) == len(seen)


def test_prompts_that_are_too_long_are_counted_or_refused():
    said = []
    long = Problem("long", "1+" * 40 + "1", "41")
    Trainer(started(), [*PROBLEMS, long], say=said.append, max_prompt_tokens=20, max_new_tokens=24)
    assert "1 of 25 problems" in said[0] and "long" in said[0]
    with pytest.raises(InputError, match="'long' does not fit"): Trainer(started(), [long], max_new_tokens=200)
    with pytest.raises(InputError, match="no problem to train on"): Trainer(started(), [long], say=None, max_prompt_tokens=20, max_new_tokens=24)


@pytest.mark.parametrize("settings, words", [
    ({"group_size": 1}, "group_size=1"), ({"temperature": 0.0}, "temperature=0.0"), ({"lr": math.nan}, "lr=nan"), ({"lr": -1.0}, "lr=-1.0"),
    ({"loss_average": "tokens"}, "did you mean 'token'"), ({"kl_kind": "k4"}, "kl_kind"), ({"stepz": 3}, "did you mean 'steps'"),
    ({"overlong_buffer": 900}, "overlong_buffer=900"), ({"problems_per_step": 0}, "problems_per_step=0"),
])
def test_bad_settings_are_refused_in_one_line(settings, words):
    with pytest.raises(InputError, match=words) as e: trainer(**settings)
    assert "\n" not in str(e.value)


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(InputError, match="nothing to resume"): last_checkpoint(tmp_path)


def test_resuming_with_other_mechanisms_is_refused(tmp_path):
    run(tmp_path, 1, [])
    with pytest.raises(InputError, match="mechanisms"): trainer(mechanisms=both(), out=tmp_path).resume()


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_learning_rate_rises_then_falls(schedule):
    config = TrainConfig(steps=20, warmup_steps=4, lr=2.0, lr_schedule=schedule)
    rates = [learning_rate(config, s) for s in range(1, 21)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0] and all(0 < r <= 2 for r in rates)
    assert rates[4] == 2.0 and all(a >= b for a, b in zip(rates[4:], rates[5:]))
    assert (rates[-1] < 0.3) == (schedule != "constant")


def test_states_survive_packing():
    state = {"a": torch.arange(3), "b": [{"c": torch.ones(2, dtype=torch.bfloat16)}, 1, "x", None], "d": {}, "e": [True, 0.5]}
    packed, tensors = pack(state)
    back = unpack(json.loads(json.dumps(packed)), tensors)
    assert_close(back["a"], state["a"])
    assert_close(back["b"][0]["c"], state["b"][0]["c"])
    assert back["b"][1:] == [1, "x", None] and back["d"] == {} and back["e"] == [True, 0.5]


def test_a_written_rollout_ends_with_the_end_token():
    policy = tiny_policy()
    r = written_rollout(policy, PROBLEMS[0], "1+2=3")
    assert r.tokens[-1].item() in policy.eos_ids and policy.decode(r.tokens) == "1+2=3"


def test_warm_start_does_not_depend_on_micro_batches():
    examples = [(p, worked_solution(p)) for p in PROBLEMS]

    def after(budget):
        policy = tiny_policy(4)
        warm_start(policy, examples, steps=3, batch_size=8, lr=1e-3, micro_batch_tokens=budget)
        return weights(policy)

    assert_close(after(1), after(10**6), atol=2e-5, rtol=0)


def test_reinforcement_learns_what_supervision_did_not():
    "Reward for short responses only: 15 steps of plain GRPO must raise it clearly."
    t = trainer(started(), verifier=Judge(lambda p, text: len(text) < 14), steps=15, problems_per_step=8, group_size=8, lr=3e-3)
    rewards = [m["reward/mean"] for m in t.fit()]
    assert sum(rewards[-4:]) / 4 > sum(rewards[:4]) / 4 + 0.2


def test_settings_by_name_stand_on_top_of_a_config():
    t = trainer(config=TrainConfig(seed=4, clip_high=0.5), clip_high=0.3)
    assert (t.config.seed, t.config.clip_high) == (4, 0.3)


def test_a_mechanism_may_take_every_place_of_a_step():
    class Again(Mechanism):
        name = "again"

        def plan(self, step, room): return [Request(problems[0])] * room

    problems = arithmetic(2, levels=(2, 3))
    trainer = Trainer(tiny_policy(), problems, [Again()], steps=1, problems_per_step=1, group_size=2, max_new_tokens=4, say=None)
    assert [r.problem.id for r in trainer.plan(1)] == [problems[0].id]


def test_tokens_end_a_run_and_a_resumed_one_has_none_left(tmp_path):
    t = trainer(out=tmp_path, steps=50, checkpoint_every=0)
    spent = t.step()["tokens/generated"]
    t = trainer(out=tmp_path / "limited", steps=50, max_tokens=spent + 1)
    history = t.fit()
    assert len(history) == 2 and history[0]["tokens/total"] == spent <= history[1]["tokens/total"]
    again = trainer(out=tmp_path / "limited", steps=50, max_tokens=spent + 1)
    again.resume()
    assert len(again.fit()) == 2
    more = trainer(out=tmp_path / "limited", steps=3, max_tokens=0)
    more.resume()
    assert len(more.fit()) == 3
