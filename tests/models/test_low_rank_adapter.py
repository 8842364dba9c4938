"""One adapter: mixture, gates and merging against loops over experts and samples."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.models.conditioning.adapters import Routing
from dtir_mm.models.conditioning.moe_adapters import LowRankAdapter
from dtir_mm.models.conditioning.time_embedding import TimePrompt

BATCH, CHANNELS, RANK, EXPERTS, PROMPT = 3, 4, 2, 5, 6
MIXES = pytest.mark.parametrize('mix', ['weight', 'output'])
ROUTER_INPUTS = pytest.mark.parametrize('router_input', ['t', 't+content'])
TOP_KS = pytest.mark.parametrize('top_k', [None, 2])


def random_adapter(**kwargs) -> LowRankAdapter:
    """An adapter in float64 whose weights are all random, U too."""
    adapter = LowRankAdapter(CHANNELS, RANK, EXPERTS, PROMPT, **kwargs).double()
    for parameter in adapter.parameters():
        nn.init.normal_(parameter)
    return adapter


def maps(batch: int = BATCH) -> Tensor:
    return torch.randn(batch, CHANNELS, 4, 5, dtype=torch.float64)


def prompts(batch: int = BATCH) -> Tensor:
    return torch.randn(batch, PROMPT, dtype=torch.float64)


def run(adapter: LowRankAdapter, prompt: Tensor, h: Tensor) -> Tensor:
    return adapter(prompt, h)[0]


def expert(down: Tensor, depthwise: Tensor, up: Tensor, h: Tensor) -> Tensor:
    """U GELU(DW (D h)) for one sample (C, H, W), with the GELU written out."""
    low = F.conv2d(h[None], down[:, :, None, None])
    low = F.conv2d(low, depthwise[:, None], padding=1, groups=len(down))
    low = low * (1 + torch.erf(low / math.sqrt(2))) / 2
    return F.conv2d(low, up[:, :, None, None])[0]


def expected_gates(adapter: LowRankAdapter, prompt: Tensor, h: Tensor) -> list[list[float]]:
    """Softmax, and the selection of the largest, in plain Python."""
    rows = []
    for p, sample in zip(prompt, h, strict=True):
        if adapter.router_input == 't+content':
            p = torch.cat([p, sample.flatten(1).sum(1) / sample[0].numel()])
        scores = (adapter.router.weight @ p + adapter.router.bias).tolist()
        largest = sorted(scores, reverse=True)[: adapter.top_k]
        kept = [math.exp(score) if score in largest else 0.0 for score in scores]
        rows.append([value / sum(kept) for value in kept])
    return rows


@TOP_KS
@ROUTER_INPUTS
def test_mix_output_adds_the_weighted_sum_of_expert_outputs(router_input, top_k):
    adapter = random_adapter(mix='output', router_input=router_input, top_k=top_k)
    h, prompt = maps(), prompts()
    adapted = run(adapter, prompt, h)
    for sample, gates in enumerate(expected_gates(adapter, prompt, h)):
        expected = h[sample].clone()
        for gate, *weights in zip(
            gates, adapter.down_ERC, adapter.depthwise_ER33, adapter.up_ECR, strict=True
        ):
            expected += gate * expert(*weights, h[sample])
        torch.testing.assert_close(adapted[sample], expected)


@TOP_KS
@ROUTER_INPUTS
def test_mix_weight_adds_one_expert_of_averaged_weights(router_input, top_k):
    adapter = random_adapter(mix='weight', router_input=router_input, top_k=top_k)
    h, prompt = maps(), prompts()
    adapted = run(adapter, prompt, h)
    for sample, gates in enumerate(expected_gates(adapter, prompt, h)):
        weights = [
            sum(gate * weight for gate, weight in zip(gates, weights, strict=True))
            for weights in (adapter.down_ERC, adapter.depthwise_ER33, adapter.up_ECR)
        ]
        torch.testing.assert_close(adapted[sample], h[sample] + expert(*weights, h[sample]))


@MIXES
@ROUTER_INPUTS
def test_every_sample_has_its_own_prompt(router_input, mix):
    adapter = random_adapter(mix=mix, router_input=router_input)
    h, prompt = maps(), prompts()
    order = torch.tensor([2, 0, 1])
    together = run(adapter, prompt, h)
    torch.testing.assert_close(run(adapter, prompt[order], h[order]), together[order])
    assert (run(adapter, prompt[order], h) - together).flatten(1).abs().amax(1).min() > 1e-3


@MIXES
def test_a_new_adapter_is_the_identity(mix):
    adapter = LowRankAdapter(CHANNELS, RANK, EXPERTS, PROMPT, mix=mix).double()
    h = maps()
    assert torch.equal(run(adapter, prompts(), h), h)


def test_experts_are_initialised_by_their_fan_in():
    adapter = LowRankAdapter(300, 50, 4, PROMPT)
    assert len({expert.sum().item() for expert in adapter.down_ERC}) == 4
    assert adapter.down_ERC.std().item() == pytest.approx(math.sqrt(2 / 300), rel=0.02)
    assert adapter.depthwise_ER33.std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.1)


@ROUTER_INPUTS
def test_top_k_keeps_k_gates_that_sum_to_one(router_input):
    adapter = random_adapter(router_input=router_input, top_k=3)
    gates = adapter(prompts(20), maps(20))[1].gates_BE
    assert not gates.requires_grad
    torch.testing.assert_close(gates.sum(1), torch.ones(20, dtype=torch.float64))
    assert ((gates > 0).sum(1) == 3).all()


@TOP_KS
def test_a_merged_adapter_equals_the_adapter_at_its_prompt(top_k):
    adapter = random_adapter(top_k=top_k)
    prompt, h = prompts(1), maps()
    merged = adapter.merged(prompt[0])
    expected = run(adapter, prompt.expand(BATCH, -1), h)
    torch.testing.assert_close(merged(h), expected, rtol=0, atol=1e-12)
    assert [(type(m), m.bias) for m in merged.children()] == [(nn.Conv2d, None)] * 3

    nn.init.zeros_(adapter.up_ECR)  # its weights are its own
    torch.testing.assert_close(merged(h), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ('kwargs', 'reason'),
    [
        (dict(mix='output'), "GELU, which is not linear. Train with mix='weight'"),
        (dict(router_input='t+content'), "content of each image. Train with router_input='t'"),
    ],
)
def test_merging_image_dependent_adapters_is_rejected(kwargs, reason):
    with pytest.raises(ValueError, match=reason):
        random_adapter(**kwargs).merged(prompts(1)[0])


def routing_of(scores: list[list[float]], **kwargs) -> Routing:
    """How an adapter routes one sample for each row of router scores."""
    batch, experts = len(scores), len(scores[0])
    adapter = LowRankAdapter(CHANNELS, RANK, experts, batch, **kwargs).double()
    adapter.router.weight.data = torch.tensor(scores, dtype=torch.float64).T
    nn.init.zeros_(adapter.router.bias)
    return adapter(torch.eye(batch, dtype=torch.float64), maps(batch))[1]


@pytest.mark.parametrize(
    ('scores', 'top_k', 'expected'),
    [
        ([[0.0] * 4] * 3, None, 1),
        ([[100.0, 0, 0, 0]] * 3, None, 4),
        ([[100.0, 0, 0, 0], [0, 100.0, 0, 0]], None, 2),
        # softmax (1/2, 1/4, 1/4) and (1/4, 1/4, 1/2): f = (1/2, 0, 1/2), P = (3/8, 1/4, 3/8)
        ([[math.log(2), 0, 0], [0, 0, math.log(2)]], None, 3 * 3 / 8),
        # softmax (3/6, 2/6, 1/6) and (1/6, 2/6, 3/6), two kept: f = (1/4, 1/2, 1/4), P all 1/3
        ([[math.log(3), math.log(2), 0], [0, math.log(2), math.log(3)]], 2, 1),
        # the same softmax twice: f = (1/2, 1/2, 0), P = (3/6, 2/6, 1/6)
        ([[math.log(3), math.log(2), 0]] * 2, 2, 3 * 5 / 12),
    ],
)
def test_balance_loss(scores, top_k, expected):
    assert routing_of(scores, top_k=top_k).balance_loss.item() == pytest.approx(expected)


def test_the_balance_loss_has_a_gradient_only_in_training():
    adapter = random_adapter()
    adapter(prompts(), maps())[1].balance_loss.backward()
    assert adapter.router.weight.grad.abs().max() > 1e-6
    assert not adapter.eval()(prompts(), maps())[1].balance_loss.requires_grad


@pytest.mark.parametrize(
    ('scores', 'top_k', 'expected'),
    [
        ([[0.0] * 4] * 3, None, math.log(4)),
        ([[0.0] * 4] * 3, 2, math.log(2)),
        ([[100.0, 0, 0, 0], [0.0] * 4], None, math.log(4) / 2),
    ],
)
def test_routing_entropy(scores, top_k, expected):
    assert routing_of(scores, top_k=top_k).entropy.item() == pytest.approx(expected)


@MIXES
@ROUTER_INPUTS
def test_second_derivatives(router_input, mix):
    adapter = LowRankAdapter(2, 2, 2, 2, mix=mix, router_input=router_input).double()
    nn.init.normal_(adapter.up_ECR)
    names = [name for name, _ in adapter.named_parameters()]

    def adapted(prompt: Tensor, h: Tensor, *weights: Tensor) -> Tensor:
        parameters = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(adapter, parameters, (prompt, h))[0]

    prompt = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    h = torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    weights = [parameter.detach().clone().requires_grad_() for parameter in adapter.parameters()]
    assert torch.autograd.gradgradcheck(adapted, (prompt, h, *weights))


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(top_k=0), r'top_k=0 must be None or in 1\.\.5'),
        (dict(top_k=6), r'top_k=6 must be None or in 1\.\.5'),
        (dict(mix='sum'), "mix='sum' must be 'weight' or 'output'"),
        (dict(router_input='h'), r"router_input='h' must be 't' or 't\+content'"),
    ],
)
def test_invalid_arguments_are_rejected(kwargs, message):
    with pytest.raises(ValueError, match=message):
        random_adapter(**kwargs)


def test_a_prompt_adds_an_mlp_of_the_sinusoid_and_a_table_row():
    prompt = TimePrompt(50, 8).double()
    t = torch.tensor([0, 7, 50])
    assert torch.equal(prompt(t), prompt.embedding(t))
    nn.init.normal_(prompt.table)
    expected = [prompt.embedding(t)[i] + prompt.table[step] for i, step in enumerate([0, 7, 50])]
    torch.testing.assert_close(prompt(t), torch.stack(expected))


@pytest.mark.parametrize('t', [[-1, 3], [3, 51], [2.0, 3.0]])
def test_time_steps_outside_the_table_are_rejected(t):
    with pytest.raises(ValueError, match=rf't=\[{t[0]}, {t[1]}\] must be integers in 0\.\.50'):
        TimePrompt(50, 8)(torch.tensor(t))
