"Responses drawn by others: their numbers are the policy's, their ends are honoured, and what is missing is said in one line."
import sys
import types

import policies
import pytest
import torch
from torch.testing import assert_close

from extra_nb.engines import backends
from extra_nb.engines.backends import SAMPLERS, VllmRows, cut, generate_rows, merged_weights, paged_rows, sample_by, sampler_named
from extra_nb.cli import train_main
from extra_nb.policy import tiny_policy
from extra_nb.sampler import recompute, sample
from extra_nb.tasks import arithmetic
from extra_nb.train import Trainer
from extra_nb.types import InputError, Problem, Request

DRAWS = {"generate": generate_rows, "paged": paged_rows}


def asked(policy):
    problems = [Problem(f"p{n}", "1+" * n + "2", "0") for n in (1, 4, 9)]
    prefix = tuple(policy.tokenizer("1+2=3\n").input_ids)
    return [*map(Request, problems), Request(problems[1], prefix, (0.1,) * len(prefix), "regeneration")]


def with_adapter(): return policies.adapted(0.2)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("make", [tiny_policy, with_adapter], ids=["full", "lora"])
@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_numbers_are_the_policys(draw, make, temperature):
    policy = make()
    policy.eos_ids = tuple(range(0, 80, 19))  # some rows stop early
    groups = sample_by(draw, policy, asked(policy), 3, max_new_tokens=15, temperature=temperature, max_rows=5)
    rollouts = [r for g in groups for r in g]
    assert "stop" in {r.finish_reason for r in rollouts}
    for r in rollouts:
        ended = [t in policy.eos_ids for t in r.tokens.tolist()]
        assert sum(ended) == (r.finish_reason == "stop") == ended[-1] and (r.finish_reason == "stop" or len(r.tokens) == 15)
        for mine, true in zip((r.logprobs, r.entropies), recompute(policy, r, temperature)): assert_close(mine, true, atol=1e-4, rtol=1e-4)
    assert all(r.text.startswith("1+2=3\n") for r in groups[3])


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_greedy_is_the_same_everywhere(draw):
    policy = tiny_policy(seed=4)
    ours = sample(policy, asked(policy), 1, max_new_tokens=20, temperature=0)
    theirs = sample_by(draw, policy, asked(policy), 1, max_new_tokens=20, temperature=0)
    assert [g[0].tokens.tolist() for g in ours] == [g[0].tokens.tolist() for g in theirs]


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("top_p", [1.0, 0.6])
def test_first_tokens_follow_the_policy(draw, top_p):
    "Also where the model itself would rather take its favourite."
    policy, n, temperature = tiny_policy(seed=3), 1500, 0.8
    policy.base.generation_config.update(do_sample=True, top_k=1, repetition_penalty=2.0)
    before = policy.base.generation_config
    request = Request(Problem("a", "3+5", "8"))
    rollouts = sample_by(draw, policy, [request], n, max_new_tokens=1, temperature=temperature, top_p=top_p, max_rows=n)[0]
    assert policy.base.generation_config is before
    ids = torch.tensor([policy.encode(request.problem)])
    with torch.no_grad(): p = (policy.model(ids).logits[0, -1] / temperature).softmax(-1)
    order = p.argsort(descending=True)
    kept = order[(p[order].cumsum(0) - p[order]) < top_p]
    expected = torch.zeros_like(p).scatter(0, kept, p[kept] / p[kept].sum()) * n
    counts = torch.bincount(torch.tensor([int(r.tokens[0]) for r in rollouts]), minlength=len(p)).float()
    assert counts[expected == 0].sum() == 0
    chi2 = ((counts - expected)[expected > 0] ** 2 / expected[expected > 0]).sum()
    assert chi2 < len(kept) + 5 * (2 * len(kept)) ** 0.5


def test_generate_is_drawn_again_from_the_same_seed():
    policy = tiny_policy()
    torch.manual_seed(1)
    outside = torch.random.get_rng_state()
    drawn = [[r.tokens.tolist() for g in sample_by(generate_rows, policy, asked(policy), 2, max_new_tokens=9, seed_key=key) for r in g]
             for key in ((0, 1), (0, 1), (0, 2))]
    assert drawn[0] == drawn[1] != drawn[2] and torch.equal(outside, torch.random.get_rng_state())


def test_cut():
    assert cut([], (1,)) == ([], False) and cut([1], (1,)) == ([1], True) and cut([2, 1, 1], (1, 2)) == ([2], True)


def test_an_adapter_is_multiplied_out_beside_the_weights():
    policy = with_adapter()
    before = {n: p.clone() for n, p in policy.model.named_parameters()}
    plain = tiny_policy(seed=1)
    plain.model.load_state_dict(dict(merged_weights(policy)))
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad(): assert_close(plain.model(ids).logits, policy.model(ids).logits, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(p, before[n]) for n, p in policy.model.named_parameters())
    assert dict(merged_weights(plain)).keys() == plain.model.state_dict().keys()


class StandIn:
    "As much of vLLM as is used: it keeps a model of its own, and knows only the weights that it was given."

    def __init__(self, model, load_format, max_model_len, **settings):
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        assert load_format == "dummy" and AutoTokenizer.from_pretrained(model).eos_token
        self.policy, self.resets, self.seeds = tiny_policy(seed=99), 0, []
        self.policy.model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model)).eval()
        holder = types.SimpleNamespace(load_weights=lambda pairs: self.policy.model.load_state_dict(dict(pairs)))
        runner = types.SimpleNamespace(model_runner=types.SimpleNamespace(model=holder))
        self.llm_engine = types.SimpleNamespace(model_executor=types.SimpleNamespace(driver_worker=runner))

    def reset_prefix_cache(self): self.resets += 1

    def generate(self, prompts, settings, use_tqdm):
        self.policy.eos_ids, self.seeds = tuple(settings[0].stop_token_ids), [s.seed for s in settings]
        made = []
        for prompt, s in zip(prompts, settings):
            how = types.SimpleNamespace(max_new_tokens=s.max_tokens, temperature=s.temperature, top_p=s.top_p)
            made += generate_rows(self.policy, [prompt["prompt_token_ids"]], how, s.seed)
        return [types.SimpleNamespace(outputs=[types.SimpleNamespace(token_ids=tokens)]) for tokens, _ in made]


@pytest.fixture
def vllm(monkeypatch):
    module = types.ModuleType("vllm")
    module.LLM, module.SamplingParams = StandIn, lambda **settings: types.SimpleNamespace(**settings)
    module.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "vllm", module)


@pytest.mark.parametrize("make", [tiny_policy, with_adapter], ids=["full", "lora"])
def test_vllm_is_given_the_weights_of_each_step(vllm, make):
    policy, draw = make(), VllmRows()
    for step in range(2):
        groups = sample_by(draw, policy, asked(policy), 2, max_new_tokens=8, seed_key=(0, step), temperature=0)
        ours = sample(policy, asked(policy), 1, max_new_tokens=8, temperature=0)
        assert [g[1].tokens.tolist() for g in groups] == [g[0].tokens.tolist() for g in ours]
        with torch.no_grad():
            for p in policy.model.parameters(): p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(step)) * 0.3)
    assert draw.llm.resets == 2 and len(set(draw.llm.seeds)) == 8


def test_what_is_missing_is_said_in_one_line(monkeypatch, tmp_path, capsys):
    with pytest.raises(InputError, match="'vlm'.*vllm"): sampler_named("vlm")
    with pytest.raises(InputError, match="pip install vllm"): sampler_named("vllm")
    monkeypatch.setattr(backends, "_has_paging", lambda: False)
    with pytest.raises(InputError, match="'paged'"): sampler_named("paged")
    code, said = train_main(["--preset", "tiny", "--sampler", "vllm", "--out", str(tmp_path / "r")]), capsys.readouterr().err.strip()
    assert code == 2 and "pip install vllm" in said and "\n" not in said


@pytest.mark.parametrize("name", [s for s in SAMPLERS if s != "vllm"])
def test_the_trainer_learns_with_any_of_them(name):
    t = Trainer(tiny_policy(), arithmetic(6, (2, 2), seed=0), sampler=name, steps=2, problems_per_step=2, group_size=4, max_new_tokens=12, say=None)
    before = t.policy.base.get_input_embeddings().weight.clone()
    history = t.fit()
    assert len(history) == 2 and history[0]["loss/logprob_drift"] < 1e-4
    assert all(m["policy/entropy"] > 1 for m in history) and len(before) > 0


def test_a_run_with_generate_resumes_exactly(tmp_path):
    def trainer(out, steps): return Trainer(tiny_policy(), arithmetic(6, (2, 2), seed=0), sampler="generate", steps=steps, problems_per_step=2, group_size=4,
                                            max_new_tokens=12, lr=1e-3, out=out, say=None)

    whole = trainer(tmp_path / "a", 4)
    whole.fit()
    trainer(tmp_path / "b", 2).fit()
    rest = trainer(tmp_path / "b", 4)
    rest.resume()
    rest.fit()
    for a, b in zip(whole.policy.model.parameters(), rest.policy.model.parameters()): assert torch.equal(a, b)
