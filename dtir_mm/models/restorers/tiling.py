"""Large images in overlapping tiles, so that memory does not grow with the image."""

from collections.abc import Callable

import torch
from torch import Tensor


def apply_tiled(
    function: Callable[[Tensor], Tensor], image: Tensor, tile: int, overlap: int
) -> Tensor:
    """``function(image)``, computed tile by tile and blended where tiles overlap.

    The outer quarter of an overlap counts for nothing and the inner half is blended linearly, so
    that the result is the whole image's own wherever ``function`` looks at most ``overlap / 4``
    pixels far.

    Args:
        function: maps (B, 3, h, w) to the same shape.
        image: (B, 3, H, W).
        tile: side of a tile in pixels.
        overlap: how far neighbouring tiles overlap, in pixels.

    Raises:
        ValueError: the overlap is not smaller than the tile.
    """
    if not 0 < overlap < tile:
        raise ValueError(f'overlap={overlap} must lie in 1..{tile - 1}, less than tile={tile}')
    height, width = image.shape[-2:]
    blended = torch.zeros_like(image)
    total = image.new_zeros(1, 1, height, width)
    for top, bottom in _spans(height, tile, overlap):
        for left, right in _spans(width, tile, overlap):
            rows = _weights(top, bottom, height, overlap).to(image)
            columns = _weights(left, right, width, overlap).to(image)
            weight = rows[:, None] * columns
            output = function(image[..., top:bottom, left:right])
            blended[..., top:bottom, left:right] += weight * output
            total[..., top:bottom, left:right] += weight
    return blended / total


def _spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Starts and ends of tiles that cover ``length``; the last one is moved back to fit."""
    if length <= tile:
        return [(0, length)]
    starts = list(range(0, length - tile, tile - overlap)) + [length - tile]
    return [(start, start + tile) for start in starts]


def _weights(start: int, end: int, length: int, overlap: int) -> Tensor:
    """One weight a pixel: 1 inside, 0 in the outer quarter of an overlap, linear in between."""
    position = torch.arange(start, end, dtype=torch.float64) + 0.5
    inside = torch.full_like(position, float('inf'))
    if start > 0:
        inside = torch.minimum(inside, position - start)
    if end < length:
        inside = torch.minimum(inside, end - position)
    return ((inside - overlap / 4) / (overlap / 2)).clamp(0, 1)
