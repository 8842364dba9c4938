"""Tiled results equal those of the whole image, and tiles that differ are blended linearly."""

import pytest
import torch
from restorer_cases import apply_tiled
from torch import Tensor
from torch.nn import functional as F

from dtir_mm.models.restorers.tiling import tiled_rows


def local(reach: int):
    """A nonlinear function of the ``reach`` pixels around; zeros lie beyond the border."""
    weights = torch.randn(3, 3, 2 * reach + 1, 2 * reach + 1, dtype=torch.float64)

    def function(image: Tensor) -> Tensor:
        return torch.sin(F.conv2d(image, weights, padding=reach)) + image**2

    return function


SIDES = [1, 7, 15, 16, 17, 23, 24, 25, 32, 40, 41]


@pytest.mark.parametrize(('overlap', 'reach'), [(4, 1), (8, 2), (12, 3), (13, 3)])
@pytest.mark.parametrize('height', SIDES)
def test_tiles_of_16_equal_the_whole_image(height, overlap, reach):
    function = local(reach)
    for width in (7, 16, 17, 28, 41):
        image = torch.randn(2, 3, height, width, dtype=torch.float64)
        tiled = apply_tiled(function, image, 16, overlap)
        torch.testing.assert_close(tiled, function(image), rtol=0, atol=1e-11)


def test_larger_receptive_fields_need_more_overlap():
    image = torch.randn(1, 3, 41, 41, dtype=torch.float64)
    function = local(3)
    assert (apply_tiled(function, image, 16, 8) - function(image)).abs().max() > 1e-3


@pytest.mark.parametrize('size', [(5, 16), (16, 16), (16, 41), (41, 5), (40, 33)])
def test_tiles_have_the_given_size_and_small_images_are_not_tiled(size):
    seen = []

    def function(image: Tensor) -> Tensor:
        seen.append(tuple(image.shape[-2:]))
        return image + 1

    image = torch.randn(1, 3, *size)
    tiled = apply_tiled(function, image, 16, 4)
    torch.testing.assert_close(tiled, image + 1)
    assert set(seen) == {(min(size[0], 16), min(size[1], 16))}, 'all tiles have the same size'
    # Starts 0, 12, 24, ... and one that ends with the image.
    down, across = (1 if side <= 16 else 1 + -(-(side - 16) // 12) for side in size)
    assert len(seen) == down * across


def test_tiles_that_disagree_are_blended_linearly():
    """Two tiles of 16 overlap by 8: 2 pixels of the first, a ramp of 4, 2 of the second."""
    calls = iter([0.0, 1.0])
    image = torch.zeros(1, 3, 4, 24, dtype=torch.float64)
    tiled = apply_tiled(lambda tile: torch.full_like(tile, next(calls)), image, 16, 8)
    row = torch.tensor([0.0] * 10 + [0.125, 0.375, 0.625, 0.875] + [1.0] * 10).double()
    torch.testing.assert_close(tiled, row.expand(1, 3, 4, 24))


def test_rows_are_yielded_as_soon_as_they_are_final():
    image = torch.randn(1, 3, 41, 20)
    asked = []

    def part(top: int, bottom: int, left: int, right: int) -> Tensor:
        asked.append(top)
        return image[..., top:bottom, left:right].sin()

    rows = tiled_rows(part, (41, 20), 16, 4)
    pieces, seen = [], []
    for piece in rows:
        pieces.append(piece)
        seen.append((piece.shape[-2], max(asked)))
    # Of tiles that start at 0, 12, 24 and 25, each gives the rows above the next one's start.
    assert seen == [(12, 0), (12, 12), (1, 24), (16, 25)]
    torch.testing.assert_close(torch.cat(pieces, dim=-2), image.sin())
    assert torch.equal(torch.cat(pieces, dim=-2), apply_tiled(torch.sin, image, 16, 4))
