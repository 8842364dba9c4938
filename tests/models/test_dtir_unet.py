"""The reference U-Net: size, parts and wiring against a handwritten one."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from network_cases import count, randomised
from torch import Tensor, nn

from dtir_mm.config import read_config
from dtir_mm.models.backbones.dtir_unet import DtirUNet, LinearAttention, ResidualBlock
from dtir_mm.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
THREE_LEVELS = dict(
    width=8, channel_multipliers=(1, 2, 3), blocks_per_level=(2, 1), middle_blocks=2, num_groups=4
)


def build_config(name: str) -> nn.Module:
    with torch.device('meta'):  # counts parameters without filling them
        return MODELS.build(read_config(CONFIGS / name).model.backbone)


def test_paper_size_has_27_8_million_parameters():
    assert 27.75e6 < count(build_config('setting_a/dtir-unet_pretrain_rainy_b16-500k.py')) < 27.85e6


def test_the_mini_network_has_310_thousand_parameters():
    assert round(count(build_config('mini/quick_dtir-unet-w16_pretrain_b8-2000.py')), -4) == 310_000


def group_norm(u: Tensor, norm: nn.GroupNorm) -> Tensor:
    groups = u.unflatten(1, (norm.num_groups, -1)).flatten(2)
    centred = groups - groups.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    normalised = (centred / (variance + norm.eps).sqrt()).reshape(u.shape)
    return torch.einsum('bchw,c->bchw', normalised, norm.weight) + norm.bias[:, None, None]


def silu(u: Tensor) -> Tensor:
    return u / (1 + torch.exp(-u))


def residual_block(u: Tensor, block: ResidualBlock) -> Tensor:
    h = silu(group_norm(u, block.norm1))
    h = F.conv2d(h, block.conv1.weight, block.conv1.bias, padding=1)
    h = silu(group_norm(h, block.norm2))
    h = F.conv2d(h, block.conv2.weight, block.conv2.bias, padding=1)
    if u.shape != h.shape:
        weight = block.shortcut.weight[..., 0, 0]
        u = torch.einsum('oc,bchw->bohw', weight, u) + block.shortcut.bias[:, None, None]
    return u + h


def linear_attention(u: Tensor, attention: LinearAttention, heads: int) -> Tensor:
    """Every pixel attends to every pixel, with the full matrix of pixel pairs."""
    weight = attention.to_qkv.weight[..., 0, 0]
    qkv = torch.einsum('oc,bcn->bon', weight, group_norm(u, attention.norm).flatten(2))
    query, key, value = (part.unflatten(1, (heads, -1)) for part in qkv.chunk(3, dim=1))
    query = query.exp() / query.exp().sum(2, keepdim=True)  # over channels
    key = key.exp() / key.exp().sum(3, keepdim=True)  # over pixels
    pairs = torch.einsum('bhdn,bhdm->bhnm', query, key)
    torch.testing.assert_close(pairs.sum(-1), torch.ones_like(pairs[..., 0]))
    attended = torch.einsum('bhnm,bhem->bhen', pairs, value).flatten(1, 2)
    out = torch.einsum('oc,bcn->bon', attention.to_out.weight[..., 0, 0], attended)
    return u + (out + attention.to_out.bias[:, None]).reshape(u.shape)


@pytest.mark.parametrize(('in_channels', 'out_channels'), [(8, 8), (12, 8)])
def test_residual_block(in_channels, out_channels):
    block = randomised(ResidualBlock(in_channels, out_channels, num_groups=4))
    u = torch.randn(2, in_channels, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(block(u), residual_block(u, block))


@pytest.mark.parametrize('heads', [1, 4])
def test_linear_attention_is_attention_over_all_pixels(heads):
    attention = randomised(LinearAttention(12, num_groups=3, num_heads=heads))
    u = torch.randn(2, 12, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(attention(u), linear_attention(u, attention, heads))


def level(u: Tensor, chain: nn.Sequential) -> Tensor:
    for module in chain:
        attends = isinstance(module, LinearAttention)
        u = linear_attention(u, module, heads=4) if attends else residual_block(u, module)
    return u


@pytest.mark.parametrize('attention', [True, False])
def test_wiring_of_three_levels(attention):
    network = randomised(DtirUNet(**THREE_LEVELS, attention=attention))
    u = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    per_level = [2, 1, 2, 1, 2]
    chains = [*network.encoders, network.middle, *network.decoders]
    assert [len(chain) - attention for chain in chains] == per_level

    fine = level(F.conv2d(u, network.stem.weight, network.stem.bias, padding=1), chains[0])
    coarse = level(network.downs[0](fine), chains[1])
    middle = level(network.downs[1](coarse), chains[2])
    h = level(torch.cat([network.ups[0](middle), coarse], dim=1), chains[3])
    h = level(torch.cat([network.ups[1](h), fine], dim=1), chains[4])
    last = network.conv_out
    expected = F.conv2d(silu(group_norm(h, network.norm_out)), last.weight, last.bias, padding=1)
    torch.testing.assert_close(network(u), expected)


def test_every_parameter_gets_a_gradient():
    backbone = dict(type='DtirUNet', **THREE_LEVELS)
    network = MODELS.build(
        dict(type='ConditionedBackbone', backbone=backbone, time_embedding=dict(dim=16))
    )
    randomised(network)
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    network(images, torch.tensor([3, 40])).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize(('levels', 'multiple'), [(1, 1), (2, 2), (4, 8)])
def test_sizes_must_be_multiples_of_size_multiple(levels, multiple):
    network = DtirUNet(
        width=8, channel_multipliers=(1,) * levels, blocks_per_level=(1,) * (levels - 1)
    )
    assert network.size_multiple == multiple
    assert network(torch.rand(1, 3, multiple, 3 * multiple)).shape == (1, 3, multiple, 3 * multiple)
    if multiple > 1:
        with pytest.raises(RuntimeError, match='Sizes of tensors must match'):
            network(torch.rand(1, 3, 2 * multiple, 2 * multiple + multiple // 2))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(width=20), 'width=20 must be a multiple of num_groups=8'),
        (
            dict(channel_multipliers=[1, 2, 4], blocks_per_level=[3]),
            r'blocks_per_level=\(3,\) must have one entry .*\(1, 2, 4\) make 2',
        ),
    ],
)
def test_invalid_arguments_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        DtirUNet(**arguments)
