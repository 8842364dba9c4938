"""Which sizes hold an image, and which fit into it."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from dtir_mm.models.tracing.sizes import SizeRule, size_rule
from dtir_mm.registry import MODELS


def taken(rule: SizeRule, height: int, width: int) -> bool:
    return (
        min(height, width) >= rule.minimum
        and height % rule.multiple == width % rule.multiple == 0
        and (height == width or not rule.square)
    )


@pytest.mark.parametrize('multiple', [1, 4, 6])
@pytest.mark.parametrize('minimum', [1, 7, 12])
@pytest.mark.parametrize('square', [False, True])
def test_sizes_match_an_exhaustive_search(multiple, minimum, square):
    rule = SizeRule(multiple, minimum, square)
    sizes = [size for size in itertools.product(range(1, 41), repeat=2) if taken(rule, *size)]
    for height, width in itertools.product((1, 5, 12, 13, 20), repeat=2):
        around = [s for s in sizes if s[0] >= height and s[1] >= width]
        assert rule.enclosing(height, width) == min(around, key=lambda s: s[0] * s[1])
        within = [s for s in sizes if s[0] <= height and s[1] <= width]
        if within:
            assert rule.inside(height, width) == max(within, key=lambda s: s[0] * s[1])
        else:
            with pytest.raises(ValueError, match=f'{height} x {width} pixels is too small'):
                rule.inside(height, width)


class Demanding(nn.Module):
    """Accepts only squares of 12, 18, 24 ... pixels."""

    global_skip = False
    size_multiple, size_minimum, square_only = 6, 12, True

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 1), nn.GroupNorm(1, 4)
        self.last = nn.Conv2d(4, 3, 1)

    def forward(self, u: Tensor) -> Tensor:
        assert u.shape[2] == u.shape[3] >= 12 and u.shape[2] % 6 == 0
        return self.last(self.norm(self.first(u)))


def test_declared_sizes_are_used():
    assert size_rule(Demanding()) == SizeRule(6, 12, True)
    assert size_rule(nn.Identity()) == SizeRule(1, 1, False)


@pytest.mark.parametrize(('height', 'width'), [(5, 7), (12, 12), (13, 20), (31, 9)])
def test_images_are_padded_to_valid_sizes(height, width):
    backbone = dict(type='ConditionedBackbone', backbone=dict(type=Demanding))
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone)).eval()
    degraded, t = torch.rand(1, 3, height, width) * 2 - 1, torch.tensor([8])
    side = restorer.backbone.size_rule.enclosing(height, width)[0]
    edges = (0, side - width, 0, side - height)
    fits = side - width < width and side - height < height
    padded = nn.functional.pad(degraded, edges, mode='reflect' if fits else 'replicate')
    with torch.no_grad():
        expected = restorer(padded, t)[..., :height, :width]
    restored = restorer.restore_images(degraded, t)
    torch.testing.assert_close(restored, (expected.clamp(-1, 1) + 1) / 2)
