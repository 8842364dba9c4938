"""The local U-Net: wiring against a handwritten one, how far it sees, borders, sizes."""

import pytest
import torch
import torch.nn.functional as F
from network_cases import count, images, randomised
from torch import Tensor, nn

from dtir_mm.models.backbones.local_unet import LocalBlock, LocalUNet, PixelNorm
from dtir_mm.registry import MODELS

THREE_LEVELS = dict(widths=(4, 6, 8), encoder_blocks=(2, 1), decoder_blocks=(1, 2), middle_blocks=2)


def convolve(u: Tensor, layer: nn.Conv2d) -> Tensor:
    """A 3 x 3 convolution as a sum over shifted images, reflected at the border."""
    height, width = u.shape[-2:]
    padded = F.pad(u, (1, 1, 1, 1), mode='reflect')
    places = [(i, j) for i in range(3) for j in range(3)]
    shifted = [padded[..., i : i + height, j : j + width] for i, j in places]
    weights = [layer.weight[..., i, j] for i, j in places]
    products = map(torch.einsum, ['oc,bchw->bohw'] * 9, weights, shifted)
    return sum(products) + layer.bias[:, None, None]


def pixel_norm(u: Tensor, norm: PixelNorm) -> Tensor:
    centred = u - u.mean(1, keepdim=True)
    normalised = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    return normalised * norm.weight[:, None, None] + norm.bias[:, None, None]


def block(u: Tensor, module: LocalBlock) -> Tensor:
    h = convolve(pixel_norm(u, module.norm), module.conv1)
    return u + convolve(h * torch.sigmoid(h), module.conv2)


def level(u: Tensor, chain: nn.Sequential) -> Tensor:
    for module in chain:
        u = block(u, module)
    return u


def halve(u: Tensor, layer: nn.Conv2d) -> Tensor:
    """A matrix on the four pixels of each 2 x 2 square."""
    squares = F.pixel_unshuffle(u, 2)
    return (
        torch.einsum('oc,bchw->bohw', layer.weight.flatten(1), squares) + layer.bias[:, None, None]
    )


def double(u: Tensor) -> Tensor:
    """Bilinear: three quarters of the nearest pixel and a quarter of the next."""
    for dim in (-2, -1):
        n = u.shape[dim]
        nearest = torch.arange(2 * n) // 2
        following = (nearest + torch.tensor([-1, 1]).repeat(n)).clamp(0, n - 1)
        u = 0.75 * u.index_select(dim, nearest) + 0.25 * u.index_select(dim, following)
    return u


def pointwise(u: Tensor, layer: nn.Conv2d) -> Tensor:
    return torch.einsum('oc,bchw->bohw', layer.weight[..., 0, 0], u) + layer.bias[:, None, None]


def test_wiring_of_three_levels():
    net = randomised(LocalUNet(**THREE_LEVELS))
    u = images(2, 16, 24)
    fine = level(convolve(u, net.stem), net.encoders[0])
    coarse = level(halve(fine, net.downs[0]), net.encoders[1])
    middle = level(halve(coarse, net.downs[1]), net.middle)
    up = double(pointwise(middle, net.ups[1]))
    h = level(pointwise(torch.cat([up, coarse], 1), net.merges[1]), net.decoders[1])
    up = double(pointwise(h, net.ups[0]))
    h = level(pointwise(torch.cat([up, fine], 1), net.merges[0]), net.decoders[0])
    torch.testing.assert_close(net(u), convolve(h, net.conv_out))
    assert [len(chain) for chain in (*net.encoders, net.middle, *net.decoders)] == [2, 1, 2, 1, 2]


def test_the_residual_is_zero_at_initialisation():
    assert not LocalUNet(**THREE_LEVELS)(torch.rand(1, 3, 16, 16)).any()


def test_every_parameter_gets_a_gradient():
    backbone = dict(type='LocalUNet', **THREE_LEVELS)
    net = MODELS.build(
        dict(type='ConditionedBackbone', backbone=backbone, time_embedding=dict(dim=16))
    )
    randomised(net)
    net(images(2, 16, 16), torch.tensor([3, 40])).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []
    blocks = [module for module in net.modules() if isinstance(module, LocalBlock)]
    assert len(net.films) == len(blocks) == 8


def test_the_default_sees_172_pixels_and_no_further():
    """How far to each side depends on the position modulo 16, the stride of the middle."""
    net = randomised(LocalUNet())
    assert count(net) == 2_243_331
    image = images(1, 32, 400).requires_grad_()
    for column, left, right in ((192, 159, 158), (194, 161, 172), (205, 172, 161)):
        (gradient,) = torch.autograd.grad(net(image)[0, :, 16, column].sum(), image)
        seen = gradient.abs().sum((0, 1, 2)).nonzero().ravel()
        assert (column - seen.min(), seen.max() - column) == (left, right)


def test_bf16_stays_bf16():
    net, image = LocalUNet(**THREE_LEVELS), torch.rand(1, 3, 16, 16)
    nn.init.normal_(net.conv_out.weight)
    kinds = set()
    for module in net.modules():
        if isinstance(module, PixelNorm):
            module.register_forward_hook(lambda *args: kinds.add(args[-1].dtype))
    with torch.autocast('cpu', torch.bfloat16):
        output = net(image)
    assert kinds == {torch.bfloat16}
    torch.testing.assert_close(output.float(), net(image), rtol=0.05, atol=0.05)


@pytest.mark.parametrize('value', [-1.0, 0.3])
def test_a_uniform_image_shows_neither_border_nor_grid(value):
    """All weights are random: with zero padding or transposed convolutions it would show."""
    output = randomised(LocalUNet())(torch.full((1, 3, 64, 80), value, dtype=torch.float64))
    assert output.abs().max() > 1
    torch.testing.assert_close(output, output[..., :1, :1].expand_as(output))


@pytest.mark.parametrize(('levels', 'multiple', 'minimum'), [(1, 1, 2), (2, 2, 4), (5, 16, 32)])
def test_sizes(levels, multiple, minimum):
    blocks = (1,) * (levels - 1)
    net = LocalUNet(widths=(4,) * levels, encoder_blocks=blocks, decoder_blocks=blocks)
    assert (net.size_multiple, net.size_minimum) == (multiple, minimum)
    assert net(torch.rand(1, 3, minimum, minimum + multiple)).shape[2:] == (
        minimum,
        minimum + multiple,
    )
    with pytest.raises(RuntimeError, match='Padding size should be less'):
        net(torch.rand(1, 3, multiple, minimum))


@pytest.mark.parametrize('name', ['encoder_blocks', 'decoder_blocks'])
def test_a_missing_number_of_blocks_is_an_error(name):
    with pytest.raises(ValueError, match=rf'{name}=\(1,\) .*\(4, 6, 8\) make 2'):
        LocalUNet(**{**THREE_LEVELS, name: (1,)})
