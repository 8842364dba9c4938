"""A separate last convolution for restoration: zero at first, and not used by generation."""

import copy

import network_cases
import pytest
import torch
import torch.nn.functional as F
from network_cases import NAFNET, RELEASED, randomised
from torch import Tensor, nn

from dtir_mm.models.conditioning.folding import fold_time
from dtir_mm.registry import MODELS

UNET = network_cases.UNET | dict(blocks_per_level=(1,), attention=False)
LAST = {'DtirUNet': 'conv_out', 'mmagic.NAFNet': 'ending', 'ReleasedNAFNet': 'conv_out'}
NETWORKS = pytest.mark.parametrize(
    'backbone', [UNET, NAFNET, RELEASED], ids=['unet', 'nafnet', 'released']
)
STEPS = torch.tensor([3, 20, 50])


def build(backbone: dict, restoration_head: bool = True, **more) -> nn.Module:
    config = dict(
        type='ConditionedBackbone', backbone=backbone, restoration_head=restoration_head,
        time_embedding=dict(dim=8), **more,
    )  # fmt: skip
    return MODELS.build(config).double()


def new(backbone: dict, **more) -> nn.Module:
    """All weights random, but for those of the head."""
    network = randomised(build(backbone, **more))
    network.restoration_head.reset_parameters()
    return network


def images() -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(3, 3, 8, 12, generator=rng, dtype=torch.float64) * 2 - 1


@NETWORKS
def test_the_initial_residual_is_zero(backbone):
    network = new(backbone)
    u = images()
    assert torch.equal(network.predict_residual(u, STEPS), torch.zeros_like(u))
    assert network.predict_residual(u, STEPS, restoring=False).abs().mean() > 1e-2


@NETWORKS
def test_generation_uses_the_original_head(backbone):
    network, plain = new(backbone), build(backbone, restoration_head=False)
    randomised(network.restoration_head)
    missing, unexpected = plain.load_state_dict(network.state_dict(), strict=False)
    assert missing == []
    assert unexpected == ['restoration_head.weight', 'restoration_head.bias']
    u = images()
    assert torch.equal(network(u, STEPS, restoring=False), plain(u, STEPS))
    residual, features = network.residual_and_features(u, STEPS)
    assert torch.equal(residual, plain.predict_residual(u, STEPS))
    assert torch.equal(features, plain.residual_and_features(u, STEPS)[1])
    assert network.trace.order == plain.trace.order
    assert not torch.equal(network(u, STEPS), plain(u, STEPS))


@NETWORKS
def test_restoration_convolves_the_last_features(backbone):
    network = randomised(build(backbone))
    u, head = images(), network.restoration_head
    _, features = network.residual_and_features(u, STEPS)
    body = F.conv2d(features, head.weight, head.bias, padding=1)
    expected = -body if network.global_skip else body
    torch.testing.assert_close(network.predict_residual(u, STEPS), expected)


@NETWORKS
def test_the_gradient_initially_reaches_only_the_head(backbone):
    network = new(backbone)
    network.predict_residual(images(), STEPS).sub(images()).abs().mean().backward()
    reached = {
        name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert reached == {'restoration_head.weight', 'restoration_head.bias'}
    randomised(network.restoration_head)
    network.predict_residual(images(), STEPS).square().mean().backward()
    last = {f'net.{LAST[backbone["type"]]}.{name}' for name in ('weight', 'bias')}
    without = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == last  # which only generation uses


def test_the_head_draws_no_random_numbers():
    """An arm with it and one without start from the same weights."""
    torch.manual_seed(3)
    plain = build(UNET, restoration_head=False, adapters=dict(param_budget=40_000))
    torch.manual_seed(3)
    network = build(UNET, adapters=dict(param_budget=40_000))
    for name, value in plain.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


@NETWORKS
def test_the_head_belongs_to_the_block_of_the_last_convolution(backbone):
    network = build(backbone)
    blocks = network.parameter_blocks()
    assert set(blocks) == {name for name, _ in network.named_parameters()}
    assert blocks['restoration_head.weight'] == LAST[backbone['type']]
    assert blocks['restoration_head.bias'] == LAST[backbone['type']]


@NETWORKS
def test_the_head_folds_into_the_last_convolution(backbone):
    network = randomised(build(backbone))
    u, t = images(), torch.full((3,), 20)
    expected = network(u, t)
    count = sum(p.numel() for p in build(backbone, restoration_head=False).net.parameters())
    net = fold_time(copy.deepcopy(network), 20)
    torch.testing.assert_close(net(u), expected)
    added = sum(p.numel() for name, p in net.named_parameters() if name.endswith('shift'))
    assert sum(p.numel() for p in net.parameters()) == count + added
    assert not any(module._forward_hooks for module in net.modules())


def test_time_and_adapters_at_the_last_convolution_apply_to_the_head():
    adapters = dict(type='DecoderAdapters', num_experts=2, sites=['conv_out'])
    network = randomised(build(UNET, conditioning=['conv_out'], adapters=adapters))
    u = images()
    _, features = network.residual_and_features(u, STEPS)
    h = network.restoration_head(features)
    adapter = network.adapters.experts['conv_out']
    gates = adapter.route(STEPS, h)[1]
    h = h + adapter.mixture(gates, h)
    (film,) = network.films.values()
    scale, shift = film(network.time_embedding(STEPS))
    expected = h * scale[:, :, None, None] + shift[:, :, None, None]
    torch.testing.assert_close(network(u, STEPS), expected)


class Tail(nn.Module):
    """A block of which the last convolution is a part."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, 4)
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return self.last(torch.sigmoid(self.norm(h)))


class InABlock(nn.Module):
    global_skip = False

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.tail = Tail()

    def forward(self, u: Tensor) -> Tensor:
        return self.tail(self.stem(u))


@pytest.mark.parametrize('backbone', [dict(type=InABlock), UNET], ids=['in a block', 'unet'])
def test_two_forwards_before_a_backward_and_activations_computed_again(backbone):
    keeps = randomised(build(backbone))
    forgets = build(backbone, checkpoint_activations=True)
    forgets.load_state_dict(keeps.state_dict())
    u, weights = images(), list(keeps.parameters())

    def loss(network: nn.Module, restoring: bool) -> Tensor:
        steps = STEPS if restoring else STEPS.flip(0)
        return network.predict_residual(u, steps, restoring).square().mean()

    def gradients(value: Tensor, parameters: list) -> list[Tensor]:
        return torch.autograd.grad(value, parameters, materialize_grads=True)

    parts = [gradients(loss(keeps, restoring), weights) for restoring in (True, False)]
    for network in (keeps, forgets):
        both = loss(network, True) - 3 * loss(network, False)
        got = gradients(both, list(network.parameters()))
        for together, restoring, generating in zip(got, *parts, strict=True):
            torch.testing.assert_close(together, restoring - 3 * generating)
    head = keeps.restoration_head.weight
    assert any(
        p is head and part.abs().max() > 1e-3 for p, part in zip(weights, parts[0], strict=True)
    )


def test_failed_forward_passes_reset_the_conditions():
    network = randomised(build(UNET))
    with pytest.raises(RuntimeError, match='Sizes of tensors must match'):
        network(images()[..., :7, :], STEPS)
    assert network.conditions is None


def test_compiled_networks_use_the_head():
    network = randomised(build(UNET)).train()
    u = images()
    expected = {restoring: network(u, STEPS, restoring) for restoring in (True, False)}
    torch.compiler.reset()
    network.compile_network(backend='aot_eager', fullgraph=True)
    for restoring in (True, False, True):
        torch.testing.assert_close(network(u, STEPS, restoring), expected[restoring])
    torch.compiler.reset()


class EndsOtherwise(nn.Module):
    """The last layer is a linear one, or a transposed convolution."""

    global_skip = False

    def __init__(self, transposed: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.last = nn.ConvTranspose2d(4, 3, 1) if transposed else nn.Linear(4, 3)
        self.transposed = transposed

    def forward(self, u: Tensor) -> Tensor:
        h = self.first(u)
        return self.last(h) if self.transposed else self.last(h.movedim(1, -1)).movedim(-1, 1)


class WeightNormed(InABlock):
    def __init__(self) -> None:
        super().__init__()
        nn.utils.parametrizations.weight_norm(self.tail.last)


class AddsAfterwards(InABlock):
    """Its output is not zero if its last convolution's is."""

    def forward(self, u: Tensor) -> Tensor:
        return super().forward(u) + 0.5 * u


class RestoresAtOnce(InABlock):
    """Its output is the image, without a skip: zero would be black."""

    global_skip = True


@pytest.mark.parametrize(
    ('backbone', 'message'),
    [
        (dict(type=EndsOtherwise, transposed=False), "EndsOtherwise, 'last', .* is Linear"),
        (dict(type=EndsOtherwise, transposed=True), 'EndsOtherwise, .* is ConvTranspose2d'),
        (dict(type=WeightNormed), "WeightNormed, 'tail.last', must be an nn.Conv2d, but is Param"),
        (dict(type=AddsAfterwards), "AddsAfterwards, 'tail.last', must produce the whole"),
        (dict(type=RestoresAtOnce), 'RestoresAtOnce, .* without it the residual is not zero'),
    ],
)
def test_unsuitable_networks_are_rejected(backbone, message):
    with pytest.raises(ValueError, match=message):
        build(backbone)
