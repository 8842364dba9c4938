"""The released adapters: one of them against loops, and all of them in a decoder."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from network_cases import UNET, count, images, randomised, wrap
from torch import Tensor, nn

from dtir_mm.config import read_config
from dtir_mm.models.conditioning.decoder_adapters import DecoderAdapter
from dtir_mm.registry import MODELS

LEAF = (
    Path(__file__).resolve().parents[2]
    / 'configs/released/released_nafnet-w48_pretrain_b16-100k.py'
)
NAFNET = dict(
    type='ReleasedNAFNet', width=4, encoder_blocks=(1, 1), middle_blocks=1, decoder_blocks=(1, 2)
)
NETWORKS = pytest.mark.parametrize('backbone', [NAFNET, UNET], ids=['nafnet', 'unet'])
STEPS = torch.tensor([3, 20, 50])
EXPERTS, CHANNELS = 3, 5


def adapted(backbone: dict, **adapters) -> nn.Module:
    """A conditioned network with random weights everywhere, including the adapters' scale."""
    return wrap(backbone, dict(type='DecoderAdapters', num_experts=EXPERTS, **adapters))


def gelu(u: Tensor) -> Tensor:
    return u * (1 + torch.erf(u / math.sqrt(2))) / 2


def expected_gates(adapter: DecoderAdapter, t: int, sample: Tensor) -> Tensor:
    """The router for one sample (C, H, W)."""
    first, _, second = adapter.router
    mean = torch.stack([channel.sum() / channel.numel() for channel in sample])
    hidden = gelu(first.weight @ torch.cat([mean, adapter.steps.weight[t]]) + first.bias)
    scores = second.weight @ hidden + second.bias
    return scores.exp() / scores.exp().sum()


def expected_output(adapter: DecoderAdapter, t: int, sample: Tensor) -> Tensor:
    """One expert after the other, for one sample (C, H, W)."""
    gates = expected_gates(adapter, t, sample)
    inside = max(adapter.channels // 4, 16)
    total = torch.zeros_like(sample)
    for e in range(len(gates)):
        rows = slice(e * inside, (e + 1) * inside)
        outer = slice(e * adapter.channels, (e + 1) * adapter.channels)
        h = gelu(F.conv2d(sample, adapter.down.weight[rows], adapter.down.bias[rows], padding=1))
        h = gelu(F.conv2d(h, adapter.across.weight[rows], adapter.across.bias[rows], padding=1))
        h = F.conv2d(h, adapter.up.weight[outer], adapter.up.bias[outer])
        total = total + gates[e] * h
    return sample + adapter.scale * total


@pytest.mark.parametrize('channels', [5, 72])  # 16 and 18 channels inside
def test_adapters_add_the_weighted_outputs_of_all_experts(channels):
    adapter = randomised(DecoderAdapter(channels, EXPERTS, num_steps=50))
    h = torch.randn(3, channels, 4, 6, dtype=torch.float64)
    adapted, routing = adapter(STEPS, h)
    for i, t in enumerate(STEPS.tolist()):
        torch.testing.assert_close(routing.gates_BE[i], expected_gates(adapter, t, h[i]))
        torch.testing.assert_close(adapted[i], expected_output(adapter, t, h[i]))
    assert (adapted - h).flatten(1).abs().amax(1).min() > 1e-2


def test_experts_are_initialised_as_separate_convolutions():
    """Bounds of torch's default: 1 over the root of the number of inputs of one expert."""
    adapter = DecoderAdapter(64, num_experts=10, num_steps=50)
    for layer, inputs in ((adapter.down, 64 * 9), (adapter.across, 16 * 9), (adapter.up, 16)):
        for parameter in layer.parameters():
            assert 0.95 < parameter.abs().max() * inputs**0.5 <= 1
    assert adapter.scale.item() == 0


def test_parameter_count_matches_the_release():
    config = read_config(LEAF).model.backbone
    with torch.device('meta'):
        network = MODELS.build({**config, 'adapters': dict(type='DecoderAdapters')})
    adapters = network.adapters
    assert count(adapters) == 6_474_124
    assert {site: a.channels for site, a in adapters.named_adapters()} == {
        'decoders.0': 384, 'decoders.1': 192, 'decoders.2': 96, 'decoders.3': 48,
    }  # fmt: skip


@pytest.mark.parametrize(
    ('backbone', 'sites'),
    [
        (NAFNET, ('decoders.0', 'decoders.1')),
        (UNET, ('decoders.0',)),
        (
            dict(type='mmagic.Restormer', dim=8, num_blocks=[1] * 4, heads=[1, 1, 2, 2]),
            ('decoder_level3', 'decoder_level2', 'decoder_level1', 'refinement'),
        ),
    ],
    ids=['nafnet', 'unet', 'restormer'],
)
def test_sites_are_the_stages_after_the_smallest_resolution(backbone, sites):
    assert adapted(backbone).adapters.sites == sites


def test_sites_can_be_named():
    conditioned = adapted(UNET, sites=['middle', 'decoders.0.1'])
    assert conditioned.adapters.sites == ('middle', 'decoders.0.1')
    blocks = conditioned.parameter_blocks()
    assert set(blocks) == {name for name, _ in conditioned.named_parameters()}
    assert blocks['adapters.experts.middle.scale'] == 'middle.1'
    assert blocks['adapters.experts.decoders_0_1.steps.weight'] == 'decoders.0.1'


def test_networks_at_one_resolution_require_sites():
    class Flat(nn.Module):
        global_skip = False

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ModuleList(
                nn.Sequential(nn.Conv2d(3, 3, 1), nn.GroupNorm(1, 3)) for _ in range(2)
            )

        def forward(self, u: Tensor) -> Tensor:
            return self.body[1](self.body[0](u))

    with pytest.raises(ValueError, match='no stage behind the smallest resolution of Flat .* site'):
        adapted(dict(type=Flat))


@NETWORKS
def test_new_adapters_are_the_identity_and_learn_their_scale_first(backbone):
    conditioned = adapted(backbone)
    for adapter in conditioned.adapters.experts.values():
        nn.init.zeros_(adapter.scale)
    u = images()
    assert torch.equal(conditioned(u, STEPS), conditioned(u, STEPS, restoring=False))
    conditioned(u, STEPS).square().sum().backward()
    for name, parameter in conditioned.adapters.named_parameters():
        assert bool(parameter.grad.any()) == name.endswith('scale'), name


@NETWORKS
def test_generative_passes_bypass_adapters(backbone):
    conditioned = adapted(backbone)
    plain = wrap(backbone)
    missing, unexpected = conditioned.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == []
    assert set(missing) == {f'adapters.{name}' for name in conditioned.adapters.state_dict()}
    u = images()
    assert torch.equal(conditioned(u, STEPS, restoring=False), plain(u, STEPS))
    difference = conditioned(u, STEPS) - plain(u, STEPS)
    assert difference.flatten(1).abs().amax(1).min() > 1e-3
    alone = [conditioned(u[i : i + 1], STEPS[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(conditioned(u, STEPS), torch.cat(alone))


@NETWORKS
def test_every_parameter_gets_a_gradient(backbone):
    conditioned = adapted(backbone)
    conditioned.predict_residual(images(), STEPS).square().mean().backward()
    for name, parameter in conditioned.adapters.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    for adapter in conditioned.adapters.experts.values():
        used = adapter.steps.weight.grad.abs().amax(1).nonzero()[:, 0]
        assert used.tolist() == STEPS.tolist()


def test_the_entropy_is_the_mean_over_sites_and_samples():
    conditioned = adapted(NAFNET)
    conditioned(images(), STEPS)
    gates = torch.stack([r.gates_BE for r in conditioned.adapters.latest.values()])
    assert gates.shape == (2, 3, EXPERTS)
    torch.testing.assert_close(
        conditioned.adapters.routing_entropy, -(gates * gates.log()).sum() / 6
    )


def test_unsupported_queries_are_rejected():
    conditioned = adapted(NAFNET)
    adapters = conditioned.adapters
    assert (adapters.top_k, adapters.router_input) == (None, 't+content')
    with pytest.raises(ValueError, match='the gates depend on the image'):
        adapters.dead_experts(STEPS)
    with pytest.raises(ValueError, match='DecoderAdapters cannot be merged: .* not linear'):
        adapters.merged(20)
    with pytest.raises(ValueError, match=r't=\[1, 2, 51\] must be integers in 0\.\.50'):
        conditioned(images(), torch.tensor([1, 2, 51]))


def test_checkpointed_activations_give_the_same_gradients():
    """The site is inside a block that is recomputed after another forward pass."""
    sites = ['decoders.1.0.project']
    keeps = adapted(NAFNET, sites=sites)
    adapters = dict(type='DecoderAdapters', num_experts=EXPERTS, sites=sites)
    forgets = wrap(NAFNET, adapters, checkpoint_activations=True)
    forgets.load_state_dict(keeps.state_dict())
    u, results = images(), []
    for network in (keeps, forgets):
        loss = network(u, STEPS).square().mean()
        loss = loss - 2 * network(u, STEPS.flip(0), restoring=False).abs().mean()
        network(u, torch.tensor([1, 2, 3]))
        results.append(torch.autograd.grad(loss, list(network.parameters())))
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected)
