"""The reach of networks, and tiles that are exact because of it."""

import pytest
import torch
from torch import Tensor, nn

from dtir_mm.models.tracing.reach import reach
from dtir_mm.models.tracing.sizes import SizeRule
from dtir_mm.registry import MODELS


class Shifted(nn.Module):
    """Each pixel from the one 9 pixels to its left and the one 2 rows below it."""

    def forward(self, u: Tensor) -> Tensor:
        left = torch.cat([u[..., :9], u[..., :-9]], dim=-1)
        return left + torch.cat([u[..., 2:, :], u[..., -2:, :]], dim=-2)


class Pooled(nn.Module):
    """Less its mean over all positions."""

    def forward(self, u: Tensor) -> Tensor:
        return u - u.mean((2, 3), keepdim=True)


def convolutions(*dilations: int) -> nn.Module:
    layers = [nn.Conv2d(3, 3, 3, padding=d, dilation=d) for d in dilations]
    return nn.Sequential(*layers)


def of(net: nn.Module, multiple: int = 1, limit: int = 64) -> int | None:
    rule = SizeRule(multiple, minimum=2 * multiple)
    return reach(net.double(), rule, torch.zeros((), dtype=torch.float64), limit)


@pytest.mark.parametrize(
    ('net', 'expected'),
    [
        (nn.Identity(), 0),
        (convolutions(1), 1),
        (convolutions(1, 3, 7), 11),
        (Shifted(), 9),
        (Pooled(), None),
        (nn.Sequential(convolutions(1), nn.GroupNorm(1, 3)), None),
        (nn.MaxPool2d(5, 1, 2), 2),
    ],
)
def test_the_farthest_pixel_that_changes_the_result(net, expected):
    assert of(net) == expected


@pytest.mark.parametrize(('limit', 'expected'), [(9, 9), (8, None)])
def test_no_reach_is_found_beyond_the_limit(limit, expected):
    assert of(Shifted(), limit=limit) == expected


def test_strided_networks_see_from_the_border_of_their_grid():
    """Pixels are averaged in blocks of 4, and the blocks by a 3 x 3 convolution."""
    net = nn.Sequential(nn.AvgPool2d(4), nn.Conv2d(3, 3, 3, padding=1), nn.Upsample(scale_factor=4))
    assert of(net, multiple=4) == 4


@pytest.mark.parametrize(('size', 'tile'), [((90, 23), 41), ((41, 129), 47), ((7, 89), 33)])
def test_tiles_that_cover_the_reach_are_exact(size, tile):
    """A network with strides, whose tiles must lie on its grid."""
    net = dict(
        type='LocalUNet', widths=(4, 8), encoder_blocks=(1,), decoder_blocks=(0,), middle_blocks=0
    )
    backbone = dict(type='ConditionedBackbone', backbone=net)
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, tile_overlap=24))
    restorer.set_precision('fp64')
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.2)
    restorer.eval()
    t = torch.tensor([8])

    def residual(u: Tensor) -> Tensor:
        return restorer.backbone.predict_residual(u, t.expand(len(u)))

    assert reach(residual, restorer.backbone.size_rule, torch.zeros((), dtype=torch.float64)) == 6
    y = torch.rand(1, 3, *size, dtype=torch.float64) * 2 - 1
    whole = restorer.restore_images(y, t)
    assert 0.2 < ((whole > 0) & (whole < 1)).double().mean()
    restorer.tile = tile
    torch.testing.assert_close(restorer.restore_images(y, t), whole, rtol=0, atol=1e-12)
