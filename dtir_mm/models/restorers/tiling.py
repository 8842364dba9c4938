"""Overlapping tiles, so that memory does not grow with the image.

The outer quarter of an overlap is ignored and the inner half blended linearly, so that the result
equals the function of the whole image if its receptive field is at most ``overlap / 4`` pixels to
each side.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def tiled_rows(
    function: Callable[[int, int, int, int], Tensor],
    size: tuple[int, int],
    tile: int | None,
    overlap: int,
) -> Iterator[Tensor]:
    """Applies a function tile by tile; gives the rows from top to bottom as they are completed.

    Args:
        function: gives the output (B, 3, h, w) for the tile at top, bottom, left, right.
        size: height and width of the image.
        tile: side of a tile in pixels; None for the whole image at once.
        overlap: overlap of neighbouring tiles in pixels, in 1..tile-1.
    """
    height, width = size
    if tile is None or max(size) <= tile:
        yield function(0, height, 0, width)
        return
    spans = _spans(height, tile, overlap)
    ends = [*(top for top, _ in spans[1:]), height]  # of the rows that each span completes
    sums: tuple[Tensor, Tensor] | None = None  # of weighted outputs, and of their weights
    for (top, bottom), end in zip(spans, ends, strict=True):
        for left, right in _spans(width, tile, overlap):
            output = function(top, bottom, left, right)
            if sums is None:
                shape = bottom - top, width
                sums = output.new_zeros(*output.shape[:2], *shape), output.new_zeros(1, 1, *shape)
            blended, total = sums
            rows = _weights(top, bottom, height, overlap).to(output)
            columns = _weights(left, right, width, overlap).to(output)
            weight = rows[:, None] * columns
            blended[..., left:right] += weight * output
            total[..., left:right] += weight
        yield blended[..., : end - top, :] / total[..., : end - top, :]
        # The rest belongs to the first rows of the next span, which is as high.
        sums = _moved_up(blended, end - top), _moved_up(total, end - top)


def _moved_up(rows: Tensor, by: int) -> Tensor:
    """The rows shifted up by ``by``, with zeros at the bottom."""
    return torch.cat([rows[..., by:, :], torch.zeros_like(rows[..., :by, :])], dim=-2)


def _spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Starts and ends of tiles that cover ``length``; the last one is moved back to fit."""
    if length <= tile:
        return [(0, length)]
    starts = list(range(0, length - tile, tile - overlap)) + [length - tile]
    return [(start, start + tile) for start in starts]


def _weights(start: int, end: int, length: int, overlap: int) -> Tensor:
    """A weight per pixel: 1 inside, 0 in the outer quarter of an overlap, linear in between."""
    position = torch.arange(start, end, dtype=torch.float64) + 0.5
    inside = torch.full_like(position, float('inf'))
    if start > 0:
        inside = torch.minimum(inside, position - start)
    if end < length:
        inside = torch.minimum(inside, end - position)
    return ((inside - overlap / 4) / (overlap / 2)).clamp(0, 1)
