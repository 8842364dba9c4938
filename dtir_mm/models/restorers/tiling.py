"""Overlapping tiles, so that memory does not grow with the image.

The outer quarter of an overlap is ignored and the inner half blended linearly, so that the result
equals the function of the whole image if a pixel changes the result over no more than
``overlap / 4`` pixels (``tracing/reach.py`` measures it).

Tiles start at multiples of the network's strides and windows; elsewhere these would fall on other
pixels than in the whole image, and change the result everywhere.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Part = Callable[[int, int, int, int], Tensor]
"""Gives (B, 3, h, w) for the part of images at top, bottom, left, right."""
Span = tuple[int, int]

DEFAULT_TILE = 768
"""Large enough that overlaps cost little; the released model needs 0.9 GB for it."""
_ALIGNED = 64


def tiled_rows(
    function: Part, size: tuple[int, int], tile: int | None, overlap: int, multiple: int = 1
) -> Iterator[Tensor]:
    """Applies a function tile by tile; gives the rows from top to bottom as they are completed.

    Args:
        function: gives the output for a tile.
        size: height and width of the image.
        tile: largest side of a tile in pixels; None for the whole image at once.
        overlap: overlap of neighbouring tiles in pixels, in 1..tile-1; see ``tile_spans``.
        multiple: of which the borders between tiles are multiples.
    """
    height, width = size
    rows, columns = (tile_spans(length, tile, overlap, multiple) for length in size)
    if len(rows) == len(columns) == 1:
        yield function(0, height, 0, width)
        return
    across = list(zip(columns, _weights(columns), strict=True))
    ends = [*(top for top, _ in rows[1:]), height]  # of the rows that each row of tiles completes
    begun: Tensor | None = None  # what the last row of tiles contributes to the next rows
    for (top, bottom), down, end in zip(rows, _weights(rows), ends, strict=True):
        band: Tensor | None = None  # weighted outputs
        for (left, right), weight in across:
            output = function(top, bottom, left, right)
            if band is None:
                band = output.new_zeros(*output.shape[:2], bottom - top, width)
            band[..., left:right] += (down[:, None] * weight).to(output) * output
        assert band is not None, 'there is at least one column'
        if begun is not None:
            band[..., : begun.shape[-2], :] += begun
        begun = band[..., end - top :, :].clone()
        yield band[..., : end - top, :]


def tile_spans(length: int, tile: int | None, overlap: int, multiple: int = 1) -> list[Span]:
    """Starts and ends of as few tiles as cover ``length``, about equally long.

    All starts, and all ends but the last, are multiples of ``multiple``, and of 64 unless tiles are
    small: networks that pad images by themselves do not state their strides. ``tile`` is rounded
    down, to at least two multiples, and ``overlap`` up, to at most the tile less one multiple.
    """
    if tile is None or length <= max(tile, 2 * multiple):
        return [(0, length)]
    if tile >= 4 * (common := math.lcm(multiple, _ALIGNED)):
        multiple = common
    tile = max(tile - tile % multiple, 2 * multiple)
    overlap = min(overlap + -overlap % multiple, tile - multiple)
    count = -(-(length - overlap) // (tile - overlap))
    stride = -(-(length - overlap) // count)
    stride += -stride % multiple
    starts = range(0, length - overlap, stride)
    return [(start, min(start + stride + overlap, length)) for start in starts]


def _weights(spans: list[Span]) -> list[Tensor]:
    """A weight per pixel of each span; where spans overlap, their weights sum to one.

    It is 1 inside, 0 in the outer quarter of an overlap, and linear in between.
    """
    length = spans[-1][1]
    if len(spans) == 1:
        return [torch.ones(length, dtype=torch.float64)]
    overlap = spans[0][1] - spans[1][0]
    weights, total = [], torch.zeros(length, dtype=torch.float64)
    for start, end in spans:
        position = torch.arange(start, end, dtype=torch.float64) + 0.5
        inside = torch.full_like(position, float('inf'))
        if start > 0:
            inside = torch.minimum(inside, position - start)
        if end < length:
            inside = torch.minimum(inside, end - position)
        weights.append(((inside - overlap / 4) / (overlap / 2)).clamp(0, 1))
        total[start:end] += weights[-1]
    return [w / total[start:end] for (start, end), w in zip(spans, weights, strict=True)]
