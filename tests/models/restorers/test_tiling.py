"""Tiled results equal those of the whole image, and tiles that differ are blended linearly."""

import pytest
import torch
from restorer_cases import apply_tiled
from torch import Tensor
from torch.nn import functional as F

from dtir_mm.models.restorers.tiling import tile_spans, tiled_rows


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


@pytest.mark.parametrize('size', [(5, 16), (16, 16), (16, 41), (41, 5), (17, 33)])
def test_as_few_tiles_as_possible_are_about_equally_large(size):
    seen = []

    def function(image: Tensor) -> Tensor:
        seen.append(tuple(image.shape[-2:]))
        return image + 1

    image = torch.randn(1, 3, *size)
    tiled = apply_tiled(function, image, 16, 4)
    torch.testing.assert_close(tiled, image + 1)
    # Two tiles of at most 16 that overlap by 4 cover 28 pixels, three of them 40, four of them 52.
    sides = {5: [5], 16: [16], 17: [11, 10], 33: [14, 14, 13], 41: [14, 14, 14, 11]}
    assert seen == [(h, w) for h in sides[size[0]] for w in sides[size[1]]]


@pytest.mark.parametrize(
    ('length', 'tile', 'overlap', 'multiple', 'expected'),
    [
        (400, 384, 64, 16, [(0, 256), (192, 400)]),  # of 64 although 16 would do
        (400, 255, 32, 16, [(0, 224), (192, 400)]),  # of 16, as 64 is large beside 255
        (100, 40, 9, 16, [(0, 32), (16, 48), (32, 64), (48, 80), (64, 96), (80, 100)]),
        (50, 20, 9, 16, [(0, 32), (16, 48), (32, 50)]),  # two multiples at least
        (32, 20, 9, 16, [(0, 32)]),
    ],
)
def test_tiles_start_at_multiples(length, tile, overlap, multiple, expected):
    assert tile_spans(length, tile, overlap, multiple) == expected


def test_weights_sum_to_one_even_where_three_tiles_overlap():
    for length in range(1, 80, 3):
        for tile, overlap, multiple in ((2, 1, 1), (9, 8, 1), (16, 11, 4), (30, 15, 8), (21, 2, 2)):
            rows = tiled_rows(lambda a, b, c, d: torch.ones(1, 1, b - a, d - c),
                              (length, 80 - length), tile, overlap, multiple)  # fmt: skip
            total = torch.cat(list(rows), dim=-2)
            assert total.shape == (1, 1, length, 80 - length)
            torch.testing.assert_close(total, torch.ones_like(total))


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
    # Of tiles that start at 0, 10, 20 and 30, each gives the rows above the next one's start.
    assert seen == [(10, 0), (10, 10), (10, 20), (11, 30)]
    torch.testing.assert_close(torch.cat(pieces, dim=-2), image.sin())
    assert torch.equal(torch.cat(pieces, dim=-2), apply_tiled(torch.sin, image, 16, 4))
