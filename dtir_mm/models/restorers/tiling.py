"""Large images in overlapping tiles, so that memory does not grow with the image."""

from collections.abc import Callable, Iterator

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

    def part(top: int, bottom: int, left: int, right: int) -> Tensor:
        return function(image[..., top:bottom, left:right])

    return torch.cat(list(tiled_rows(part, image.shape[-2:], tile, overlap)), dim=-2)


def tiled_rows(
    function: Callable[[int, int, int, int], Tensor],
    size: tuple[int, int],
    tile: int | None,
    overlap: int,
) -> Iterator[Tensor]:
    """The rows of ``apply_tiled`` from top to bottom, as soon as no other tile changes them.

    Args:
        function: gives what it makes of the tile at top, bottom, left, right: (B, 3, h, w).
        size: height and width of the image.
        tile: side of a tile in pixels; None for the whole image at once.
        overlap: how far neighbouring tiles overlap, in pixels.

    Raises:
        ValueError: see ``apply_tiled``.
    """
    if tile is not None and not 0 < overlap < tile:
        raise ValueError(f'overlap={overlap} must lie in 1..{tile - 1}, less than tile={tile}')
    height, width = size
    if tile is None or max(size) <= tile:
        yield function(0, height, 0, width)
        return
    spans = _spans(height, tile, overlap)
    ends = [*(top for top, _ in spans[1:]), height]  # of the rows that are done with each span
    blended = total = None
    for (top, bottom), end in zip(spans, ends, strict=True):
        for left, right in _spans(width, tile, overlap):
            output = function(top, bottom, left, right)
            if blended is None:
                blended = output.new_zeros(*output.shape[:2], bottom - top, width)
                total = output.new_zeros(1, 1, bottom - top, width)
            rows = _weights(top, bottom, height, overlap).to(output)
            columns = _weights(left, right, width, overlap).to(output)
            weight = rows[:, None] * columns
            blended[..., left:right] += weight * output
            total[..., left:right] += weight
        yield blended[..., : end - top, :] / total[..., : end - top, :]
        # What this span gives to the next one's first rows; the next one has as many.
        blended, total = (_moved_up(rows, end - top) for rows in (blended, total))


def _moved_up(rows: Tensor, by: int) -> Tensor:
    """The rows below the first ``by``, with zeros in the place of those."""
    return torch.cat([rows[..., by:, :], torch.zeros_like(rows[..., :by, :])], dim=-2)


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
