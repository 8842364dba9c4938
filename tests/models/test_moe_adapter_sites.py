"""Adapter sites in networks of all kinds, and parameter counts."""

import pytest
import torch
from network_cases import UNET, count
from torch import Tensor, nn

import dtir_mm.models  # noqa: F401 - registers the networks
from dtir_mm.models.conditioning.moe_adapters import MoEAdapters
from dtir_mm.models.tracing.trace import trace
from dtir_mm.registry import MODELS

NAFNET_W64 = dict(
    type='mmagic.NAFNet',
    mid_channels=64,
    enc_blk_nums=[1, 1, 1, 28],
    middle_blk_num=1,
    dec_blk_nums=[1, 1, 1, 1],
)
SWINIR = dict(
    type='mmagic.SwinIRNet', upscale=1, img_size=64, window_size=8, depths=[1], embed_dim=12,
    num_heads=[2], mlp_ratio=2, upsampler='', resi_connection='1conv',
)  # fmt: skip
SMALL = dict(num_experts=3, param_budget=4_000, num_steps=50, prompt_dim=8)


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return u + self.second(self.first(u))


class Isotropic(nn.Module):
    """Blocks without norms at one resolution, made in another order than they run in."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(5, 3, 1)
        self.body = nn.ModuleList([Block(5), Block(5)])
        self.unused = Block(5)
        self.stem = nn.Conv2d(3, 5, 1)

    def forward(self, u: Tensor) -> Tensor:
        return self.head(self.body[0](self.body[1](self.stem(u))))


class ChannelsLast(nn.Module):
    """A stage that gives (B, H, W, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 3))
        self.head = nn.Conv2d(3, 3, 1)

    def forward(self, u: Tensor) -> Tensor:
        return self.head(self.stage(u.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


@pytest.mark.parametrize('router_input', ['t', 't+content'])
@pytest.mark.parametrize(
    ('backbone', 'sites'),
    [
        (dict(type='DtirUNet'), ('encoders.0', 'encoders.1', 'encoders.2', 'middle')),
        (NAFNET_W64, (*(f'encoders.{i}' for i in range(4)), 'middle_blks')),
        (
            dict(type='mmagic.Restormer'),
            ('encoder_level1', 'encoder_level2', 'encoder_level3', 'latent'),
        ),
    ],
    ids=['unet', 'nafnet', 'restormer'],
)
def test_stages_of_encoder_and_middle_share_the_budget(backbone, sites, router_input):
    with torch.device('meta'):
        adapters = MoEAdapters(trace(MODELS.build(backbone)), router_input=router_input)
    assert adapters.sites == sites
    assert count(adapters) == pytest.approx(1_800_000, rel=0.02)


def test_isotropic_networks_are_adapted_after_every_block():
    adapters = MoEAdapters(trace(Isotropic()), **SMALL)
    assert adapters.sites == ('body.1', 'body.0')
    assert count(adapters) == pytest.approx(4_000, abs=3 * (2 * 5 + 9))  # half a rank at 2 sites


def test_sites_can_be_named():
    net = MODELS.build(UNET)
    adapters = MoEAdapters(trace(net), **SMALL, sites=['decoders.0.1', 'middle.0.conv2'])
    assert {site: a.channels for site, a in adapters.named_adapters()} == {
        'decoders.0.1': 8,
        'middle.0.conv2': 16,
    }


@pytest.mark.parametrize(
    ('net', 'site'),
    [
        (Isotropic, 'tail'),
        (Isotropic, 'unused'),
        (Isotropic, 'body'),
        (ChannelsLast, 'stage'),
        (SWINIR, 'layers.0'),
    ],
)
def test_sites_without_a_feature_map_are_rejected(net, site):
    net = MODELS.build(net) if isinstance(net, dict) else net()
    with pytest.raises(ValueError, match=f'site {site!r} is no module of .* These do:') as error:
        MoEAdapters(trace(net), **SMALL, sites=[site])
    outermost = {
        'Isotropic': ['stem', 'body.1', 'body.0', 'head'],
        'ChannelsLast': ['head'],
        'SwinIRNet': ['conv_first', 'layers.0.conv', 'conv_after_body', 'conv_last'],
    }
    assert f'These do: {outermost[type(net).__name__]}, and parts' in str(error.value)


@pytest.mark.parametrize('net', [ChannelsLast, lambda: MODELS.build(SWINIR)])
def test_networks_without_suitable_stages_require_sites(net):
    with pytest.raises(ValueError, match='no stage of .* gives a feature map .* as sites'):
        MoEAdapters(trace(net()), **SMALL)


@pytest.mark.parametrize(('router_input', 'seen'), [('t', 8), ('t+content', 8 + 5)])
def test_budgets_below_rank_one_are_rejected(router_input, seen):
    kwargs = SMALL | dict(router_input=router_input)
    prompt = 51 * 8 + (64 + 1) * 8 + (8 + 1) * 8
    smallest = prompt + 2 * 3 * ((seen + 1) + (5 + 9 + 5))
    with pytest.raises(ValueError, match=f'param_budget=30 is too small .* at least {smallest},'):
        MoEAdapters(trace(Isotropic()), **kwargs | dict(param_budget=30))
    adapters = MoEAdapters(trace(Isotropic()), **kwargs | dict(param_budget=smallest))
    assert (adapters.rank, count(adapters)) == (1, smallest)
    with pytest.raises(ValueError, match='too small'):
        MoEAdapters(trace(Isotropic()), **kwargs | dict(param_budget=smallest - 1))


@pytest.mark.parametrize('kind', ['MoEAdapters', 'DecoderAdapters'])
def test_an_empty_list_of_sites_is_refused(kind):
    config = dict(
        type='ConditionedBackbone',
        backbone=dict(type='DtirUNet', width=8, channel_multipliers=(1, 2), blocks_per_level=(1,)),
        adapters=dict(type=kind, sites=[]),
    )
    with pytest.raises(ValueError, match=r'sites=\[\] of the adapters must name at least one'):
        MODELS.build(config)
