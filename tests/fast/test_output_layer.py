"The output layer without its logits, beside autograd through the textbook's formula."
import pytest
import torch
from torch.testing import assert_close

from extra_nb.fast.output_layer import linear_token_stats
from extra_nb.sampler import token_stats


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("temperature, chunk", [(1.0, 1024), (0.7, 5), (1.6, 1)])
@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_of_the_output_layer_equal_those_of_the_textbook(bias, temperature, chunk, frozen):
    "Hidden states and weights; tokens of very high and very low probability among them."
    torch.manual_seed(0)
    hidden, tokens, g = torch.randn(37, 16) * 3, torch.randint(101, (37,)), torch.randn(37)
    layer = torch.nn.Linear(16, 101, bias=bias)
    layer.weight.requires_grad_(not frozen)
    results = []
    for way in ("ours", "plain"):
        h = hidden.clone().requires_grad_()
        if way == "ours": logp, H = linear_token_stats(h, layer, tokens, temperature, chunk=chunk)
        else: logp, H = token_stats(layer(h), tokens, temperature)
        wanted = [h, *(p for p in layer.parameters() if p.requires_grad)]
        results.append([logp, H, *torch.autograd.grad((logp * g).sum(), wanted)])
        assert not H.requires_grad
    for ours, plain in zip(*results): assert_close(ours, plain, atol=2e-5, rtol=1e-5)
