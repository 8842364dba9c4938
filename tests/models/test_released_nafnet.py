"""The released network: size, block, wiring and time against a handwritten one."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from network_cases import count, randomised
from torch import Tensor, nn

from dtir_mm.config import read_config
from dtir_mm.models.backbones.released_nafnet import ChannelNorm, NAFBlock, ReleasedNAFNet
from dtir_mm.registry import MODELS

LEAF = (
    Path(__file__).resolve().parents[2]
    / 'configs/released/released_nafnet-w48_pretrain_b16-100k.py'
)
TWO_LEVELS = dict(width=4, encoder_blocks=(1, 2), middle_blocks=1, decoder_blocks=(2, 1))
SMALL = dict(
    type='ConditionedBackbone',
    backbone=dict(type='ReleasedNAFNet', **TWO_LEVELS),
    time_embedding=dict(type='GatedTimeEmbedding', dim=8, sinusoid_dim=4),
    neutral_films=False,
)


def images(batch: int = 2, height: int = 8, width: int = 12, channels: int = 3) -> Tensor:
    return torch.randn(batch, channels, height, width, dtype=torch.float64)


def test_parameter_count_matches_the_release():
    with torch.device('meta'):
        network = MODELS.build(read_config(LEAF).model.backbone)
    assert count(network) == 68_284_275
    assert count(network.time_embedding) == 48 * 384 + 384 + 192 * 192 + 192
    assert {film.linear.in_features for film in network.films.values()} == {96}
    assert (network.size_rule.multiple, network.global_skip) == (16, False)


def norm(u: Tensor, module: ChannelNorm) -> Tensor:
    centred = u - u.sum(1, keepdim=True) / u.shape[1]
    variance = centred.square().sum(1, keepdim=True) / u.shape[1]
    return torch.einsum('bchw,c->bchw', centred / (variance + 1e-5).sqrt(), module.weight)


def pointwise(u: Tensor, convolution: nn.Conv2d) -> Tensor:
    weight = convolution.weight[..., 0, 0]
    return torch.einsum('oc,bchw->bohw', weight, u) + convolution.bias[:, None, None]


def depthwise(u: Tensor, convolution: nn.Conv2d) -> Tensor:
    """A kernel a channel, by shifted sums."""
    height, width = u.shape[2:]
    padded = F.pad(u, (1, 1, 1, 1))
    total = torch.zeros_like(u)
    for row in range(3):
        for column in range(3):
            part = padded[..., row : row + height, column : column + width]
            total = total + part * convolution.weight[:, 0, row, column, None, None]
    return total + convolution.bias[:, None, None]


def gated(u: Tensor) -> Tensor:
    half = u.shape[1] // 2
    return u[:, :half] * u[:, half:]


def block(u: Tensor, module: NAFBlock, films: list[tuple[Tensor, Tensor]] | None = None) -> Tensor:
    """A block, whose norms are scaled and shifted (B, C) by ``films``."""
    one, zero = torch.ones_like(u[:, :, 0, 0]), torch.zeros_like(u[:, :, 0, 0])
    (scale1, shift1), (scale2, shift2) = films or [(one, zero), (one, zero)]
    h = norm(u, module.norm1) * scale1[:, :, None, None] + shift1[:, :, None, None]
    h = gated(depthwise(pointwise(h, module.widen), module.depthwise))
    mean = h.sum((2, 3), keepdim=True) / (h.shape[2] * h.shape[3])
    h = h * pointwise(mean, module.attention)
    u = u + pointwise(h, module.project) * module.scale1
    h = norm(u, module.norm2) * scale2[:, :, None, None] + shift2[:, :, None, None]
    h = gated(pointwise(h, module.widen_again))
    return u + pointwise(h, module.project_again) * module.scale2


def test_norms_are_over_the_channels_of_each_pixel():
    module = randomised(ChannelNorm(5))
    u = 0.01 * images(
        channels=5
    )  # small enough for the 1e-5 that is added to the variance to count
    torch.testing.assert_close(module(u), norm(u, module))
    assert [name for name, _ in module.named_parameters()] == ['weight']


def test_block_matches_a_handwritten_one():
    module = randomised(NAFBlock(6))
    u = images(channels=6, height=5, width=4)
    torch.testing.assert_close(module(u), block(u, module))


def test_a_new_block_is_the_identity():
    u = images(channels=6)
    assert torch.equal(NAFBlock(6).double()(u), u)


def shuffled(u: Tensor) -> Tensor:
    """Four channels become the 2 x 2 pixels of one."""
    batch, channels, height, width = u.shape
    out = u.new_empty(batch, channels // 4, 2 * height, 2 * width)
    for row in range(2):
        for column in range(2):
            out[:, :, row::2, column::2] = u[:, 2 * row + column :: 4]
    return out


@pytest.mark.parametrize('with_time', [False, True])
def test_wiring_of_two_levels_with_and_without_time(with_time):
    conditioned = randomised(MODELS.build(SMALL))
    t = torch.tensor([3, 40])
    net, embedding = conditioned.net, conditioned.time_embedding(t)
    if not with_time:
        net = randomised(ReleasedNAFNet(**TWO_LEVELS))

    def run(name: str, u: Tensor) -> Tensor:
        films = []
        for site in (f'{name}.norm1', f'{name}.norm2'):
            linear = conditioned.films[site.replace('.', '_')].linear
            gamma, delta = (embedding @ linear.weight.T + linear.bias).chunk(2, dim=1)
            films.append((1 + gamma, delta))
        return block(u, net.get_submodule(name), films if with_time else None)

    u = images()
    fine = run('encoders.0.0', net.stem(u))
    coarse = run('encoders.1.1', run('encoders.1.0', net.downs[0](fine)))
    assert coarse.shape == (2, 8, 4, 6)
    h = run('middle.0', net.downs[1](coarse))
    h = shuffled(F.conv2d(h, net.ups[0][0].weight)) + coarse
    h = run('decoders.0.1', run('decoders.0.0', h))
    h = shuffled(F.conv2d(h, net.ups[1][0].weight)) + fine
    expected = net.conv_out(run('decoders.1.0', h))
    got = conditioned.predict_residual(u, t) if with_time else net(u)
    torch.testing.assert_close(got, expected)


def test_every_norm_has_its_own_film():
    conditioned = MODELS.build(SMALL)
    blocks = [name for name, m in conditioned.net.named_modules() if isinstance(m, NAFBlock)]
    assert len(blocks) == 7
    names = {f'{name.replace(".", "_")}_norm{i}' for name in blocks for i in (1, 2)}
    assert set(conditioned.films) == names
    assert all(film.linear.weight.abs().min() > 0 for film in conditioned.films.values())


def test_every_parameter_gets_a_gradient():
    network = randomised(MODELS.build(SMALL))
    network(images(), torch.tensor([3, 40])).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_sizes_must_be_multiples_of_size_multiple():
    network = ReleasedNAFNet(**TWO_LEVELS)
    assert network.size_multiple == 4
    assert network(torch.rand(1, 3, 4, 12)).shape == (1, 3, 4, 12)
    with pytest.raises(RuntimeError, match='must match'):
        network(torch.rand(1, 3, 8, 10))


def test_encoder_and_decoder_must_have_as_many_levels():
    with pytest.raises(ValueError, match=r'decoder_blocks=\(2,\) must .* encoder_blocks=\(1, 2\)'):
        ReleasedNAFNet(width=4, encoder_blocks=[1, 2], decoder_blocks=[2])
