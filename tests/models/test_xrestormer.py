"""X-Restormer: its attention against loops, its size, its published parameter names."""

import math

import pytest
import torch
from torch import Tensor

from dtir_mm.models.backbones.xrestormer import (
    ChannelAttention,
    OverlappingCrossAttention,
    XRestormer,
)

SMALL = dict(
    dim=8,
    num_blocks=(1, 1, 1, 1),
    num_refinement_blocks=1,
    window_size=2,
    overlap_ratio=1.0,
    spatial_dim_head=4,
)
# The state dict of the published implementation at SMALL, by its structure.
BLOCK = """
    spatial_attn.qkv.weight spatial_attn.project_out.weight
    spatial_attn.rel_pos_emb.rel_height spatial_attn.rel_pos_emb.rel_width
    channel_attn.temperature channel_attn.qkv.weight channel_attn.qkv_dwconv.weight
    channel_attn.project_out.weight
    norm1.body.weight norm1.body.bias norm2.body.weight norm2.body.bias
    norm3.body.weight norm3.body.bias norm4.body.weight norm4.body.bias
    channel_ffn.project_in.weight channel_ffn.dwconv.weight channel_ffn.project_out.weight
    spatial_ffn.project_in.weight spatial_ffn.dwconv.weight spatial_ffn.project_out.weight
""".split()
STAGES = """
    encoder_level1 encoder_level2 encoder_level3 latent
    decoder_level3 decoder_level2 decoder_level1 refinement
""".split()
REST = """
    patch_embed.proj.weight
    down1_2.body.0.weight down2_3.body.0.weight down3_4.body.0.weight
    up4_3.body.0.weight up3_2.body.0.weight up2_1.body.0.weight
    reduce_chan_level3.weight reduce_chan_level2.weight output.weight
""".split()


def randomise(module: torch.nn.Module, std: float = 0.4) -> torch.nn.Module:
    for parameter in module.double().parameters():
        torch.nn.init.normal_(parameter, std=std)
    return module


def attention_of_one_query(
    attention: OverlappingCrossAttention, qkv: Tensor, row: int, column: int, head: int
) -> Tensor:
    """What one pixel attends to, (C,), by loops over the keys around its window."""
    width = attention.qkv.out_channels // 3
    size = width // attention.num_heads
    height, length = qkv.shape[1:]
    channels = slice(head * size, (head + 1) * size)
    query = qkv[:width][channels, row, column] / math.sqrt(size)
    window, key_size = attention.window_size, attention.key_size
    top = row // window * window - (key_size - window) // 2
    left = column // window * window - (key_size - window) // 2
    logits, values = [], []
    for i in range(top, top + key_size):
        for j in range(left, left + key_size):
            inside = 0 <= i < height and 0 <= j < length
            key, value = (
                qkv[part * width : (part + 1) * width][channels, i, j]
                if inside
                else torch.zeros(size, dtype=qkv.dtype)
                for part in (1, 2)
            )
            # The offset counts from the corner of each of the two windows.
            offset = (
                key_size - 1 + (i - top) - row % window,
                key_size - 1 + (j - left) - column % window,
            )
            position = attention.rel_pos_emb
            bias = position.rel_height[offset[0]] + position.rel_width[offset[1]]
            logits.append(query @ (key + bias))
            values.append(value)
    return torch.stack(logits).softmax(0) @ torch.stack(values)


def test_overlapping_attention_equals_loops_over_windows_heads_and_keys():
    attention = randomise(OverlappingCrossAttention(6, 4, 1.0, num_heads=2, head_channels=3))
    assert attention.key_size == 8
    u = torch.randn(2, 6, 8, 12, dtype=torch.float64)
    expected = torch.zeros(2, 6, 8, 12, dtype=torch.float64)
    with torch.no_grad():
        for sample, qkv in enumerate(attention.qkv(u)):
            for row in range(8):
                for column in range(12):
                    heads = [attention_of_one_query(attention, qkv, row, column, h) for h in (0, 1)]
                    expected[sample, :, row, column] = torch.cat(heads)
        torch.testing.assert_close(attention(u), attention.project_out(expected))


def test_channel_attention_compares_unit_channel_maps():
    attention = randomise(ChannelAttention(6, num_heads=2))
    u = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    q, k, v = attention.qkv_dwconv(attention.qkv(u)).chunk(3, dim=1)
    expected = torch.zeros_like(u)
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        unit_q, unit_k = (x[:, part] / x[:, part].norm(dim=(2, 3), keepdim=True) for x in (q, k))
        logits = torch.einsum('bchw,bdhw->bcd', unit_q, unit_k) * attention.temperature[head]
        expected[:, part] = torch.einsum('bcd,bdhw->bchw', logits.softmax(-1), v[:, part])
    torch.testing.assert_close(attention(u), attention.project_out(expected))


def test_the_published_network_has_26_million_parameters():
    with torch.device('meta'):
        network = XRestormer()
    assert sum(parameter.numel() for parameter in network.parameters()) == 26_041_208
    assert network.size_multiple == 64


def test_the_state_dict_has_the_published_names():
    expected = {f'{stage}.0.{name}' for stage in STAGES for name in BLOCK} | set(REST)
    assert set(XRestormer(**SMALL).state_dict()) == expected


@torch.no_grad()
def test_the_input_is_added_to_the_output():
    network = randomise(XRestormer(**SMALL))
    image = torch.rand(1, 3, 16, 32, dtype=torch.float64)
    body = network(image) - image
    assert body.abs().mean() > 1e-3
    network.output.weight.zero_()
    assert torch.equal(network(image), image)


def test_every_parameter_gets_a_gradient_that_can_be_differentiated_again():
    """The second derivative along a direction, against central differences of the first."""
    network = randomise(XRestormer(**SMALL), std=0.2)
    image = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    parameters = list(network.parameters())

    def gradient(**kwargs) -> Tensor:
        loss = (network(image) - image).square().mean()
        parts = torch.autograd.grad(loss, parameters, **kwargs)
        return torch.cat([part.flatten() for part in parts])

    first = gradient(create_graph=True)
    direction = torch.nn.functional.normalize(torch.randn_like(first), dim=0)
    parts = torch.autograd.grad(first @ direction, parameters)
    values, step = torch.nn.utils.parameters_to_vector(parameters).detach(), 1e-5
    sides = []
    for sign in (1, -1):
        moved = values + sign * step * direction
        torch.nn.utils.vector_to_parameters(moved, parameters)
        sides.append(gradient())
    second = torch.cat([part.flatten() for part in parts])
    difference = second - (sides[0] - sides[1]) / (2 * step)
    assert difference.norm() < 1e-5 * second.norm()
    for (name, _), part in zip(network.named_parameters(), parts, strict=True):
        assert part.abs().max() > 0, name


@pytest.mark.parametrize('name', ['num_blocks', 'channel_heads', 'spatial_heads'])
def test_lists_need_an_entry_per_level(name):
    with pytest.raises(ValueError, match=rf'{name}=\(1, 2, 4\) must have one entry'):
        XRestormer(**{**SMALL, name: (1, 2, 4)})


def test_the_overlap_must_be_symmetric():
    with pytest.raises(ValueError, match='overlap_ratio=0.5 of window_size=2 must be an even'):
        XRestormer(**{**SMALL, 'overlap_ratio': 0.5})
