"Prompts, end tokens, precision, adapters, saving: what the other rooms take for granted about a model."
import json

import pytest
import torch
from torch.testing import assert_close

from extra_nb.policy import Policy, end_tokens, load_policy, tiny_policy, tiny_tokenizer
from extra_nb.sampler import sample, logprobs_of
from extra_nb.types import InputError, Problem, Request

PROBLEM = Problem("p", "3+5", "8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "A small model in the transformers format, wide enough for 4-bit quantisation."
    path = tmp_path_factory.mktemp("model")
    tiny_policy(seed=1, width=64).save(path)
    return path


def numbers(policy):
    "Log-probabilities of a fixed rollout, and the gradient's norm over what is trainable."
    rollouts = list(sample(policy, [Request(PROBLEM)], 2, max_new_tokens=8)[0])
    logprobs, _ = logprobs_of(policy, rollouts)
    logprobs.sum().backward()
    grads = [p.grad for p in policy.model.parameters() if p.requires_grad]
    assert grads and all(g is not None and torch.isfinite(g).all() for g in grads)
    return rollouts, logprobs.detach(), torch.cat([g.flatten() for g in grads]).norm()


def test_a_saved_policy_is_an_ordinary_model(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([tokenizer("3+5=8\n\\boxed{8}").input_ids])
    assert_close(model(ids).logits, tiny_policy(seed=1).model(ids).logits)
    assert tokenizer.decode(ids[0]) == "3+5=8\n\\boxed{8}"


def test_load_puts_weights_back(folder):
    policy = tiny_policy(seed=9)
    policy.load(folder)
    for name, value in tiny_policy(seed=1).model.state_dict().items(): assert_close(policy.model.state_dict()[name], value, atol=0, rtol=0)


@pytest.mark.parametrize("adapter", ["none", "lora", "qlora"])
def test_every_way_of_training_runs_forward_and_backward(folder, adapter):
    policy = load_policy(str(folder), adapter=adapter, compute="fp32", lora_rank=4)
    rollouts, logprobs, norm = numbers(policy)
    assert norm > 0
    assert_close(logprobs, torch.cat([r.logprobs for r in rollouts]), atol=1e-3, rtol=0)
    trainable = {n for n, p in policy.model.named_parameters() if p.requires_grad}
    assert all("lora" in n for n in trainable) == (adapter != "none")


@pytest.mark.parametrize("adapter", ["lora", "qlora"])
def test_an_adapter_is_saved_and_put_back(folder, adapter, tmp_path):
    policy = load_policy(str(folder), adapter=adapter, compute="fp32", lora_rank=4)
    with torch.no_grad():
        for n, p in policy.model.named_parameters():
            if "lora_B" in n: p.normal_(generator=torch.Generator().manual_seed(0))
    policy.save(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").exists()
    other = load_policy(str(folder), adapter=adapter, compute="fp32", lora_rank=4, seed=5)
    other.load(tmp_path)
    ids = torch.tensor([policy.encode(PROBLEM)])
    assert_close(other.model(ids).logits, policy.model(ids).logits)


def test_the_reference_of_an_adapter_is_the_model_without_it(folder):
    policy, plain = load_policy(str(folder), adapter="lora", compute="fp32"), load_policy(str(folder), compute="fp32")
    with torch.no_grad():
        for n, p in policy.model.named_parameters():
            if "lora_B" in n: p.fill_(0.1)
    ids = torch.tensor([policy.encode(PROBLEM)])
    with policy.reference(): assert_close(policy.model(ids).logits, plain.model(ids).logits)
    assert (policy.model(ids).logits - plain.model(ids).logits).abs().max() > 1e-3


def test_bf16_autocast_keeps_fp32_weights_and_gradients(folder):
    policy = load_policy(str(folder), compute="bf16")
    rollouts, logprobs, _ = numbers(policy)
    assert all(p.dtype == torch.float32 == p.grad.dtype for p in policy.model.parameters())
    assert rollouts[0].logprobs.dtype == torch.float32
    assert_close(logprobs, torch.cat([r.logprobs for r in rollouts]), atol=0.1, rtol=0)


def test_all_end_tokens_are_found():
    policy = tiny_policy()
    policy.model.generation_config.eos_token_id = [7, 9]
    assert end_tokens(policy.model, policy.tokenizer) == (0, 7, 9)


def test_a_tokenizer_that_adds_a_start_token_adds_it_once():
    from tokenizers.processors import TemplateProcessing

    tokenizer = tiny_tokenizer()
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<unk> $A", special_tokens=[("<unk>", 2)])
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    model = tiny_policy().model
    plain, chat = Policy(model, tokenizer, template="plain"), Policy(model, tokenizer, template="chat")
    assert plain.encode(PROBLEM)[0] == 2 and chat.encode(PROBLEM)[0] != 2
    assert plain.encode(PROBLEM)[1:] == chat.encode(PROBLEM)


@pytest.mark.parametrize("kwargs, words", [
    ({"template": "chatt"}, "did you mean 'chat'"), ({"instruction": "solve"}, "no {problem}"), ({"compute_dtype": "bf61"}, "did you mean 'bf16'"),
    ({"template": "chat"}, "no chat template"),
])
def test_bad_settings_are_refused(kwargs, words):
    policy = tiny_policy()
    with pytest.raises(InputError, match=words): Policy(policy.model, policy.tokenizer, **{"template": "plain", **kwargs})


@pytest.mark.parametrize("name", ["no-such-owner/no-such-model", "./no/such/folder", "nowhere"])
def test_a_model_that_cannot_be_reached_is_named_in_one_line(name):
    with pytest.raises(InputError) as e: load_policy(name)
    assert name in str(e.value) and "local folder" in str(e.value) and "\n" not in str(e.value)


def test_a_saved_config_names_the_architecture(folder):
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
