"""Yields an image in strips of rows, since whole copies of a large one take too much memory."""

from collections.abc import Iterator

import numpy as np


def row_strips(pixels: np.ndarray, alpha: np.ndarray | None, size: int) -> Iterator[np.ndarray]:
    """Contiguous strips (rows, W, C) of an image, with alpha as the last channel.

    Args:
        pixels: (H, W, 3) or (H, W, 1).
        alpha: (H, W) of the same type, or None.
        size: the number of pixels of a strip; at least one row is yielded.
    """
    height, width = pixels.shape[:2]
    rows = max(1, size // width)
    for top in range(0, height, rows):
        strip = pixels[top : top + rows]
        if alpha is not None:
            strip = np.dstack([strip, alpha[top : top + rows]])
        yield np.ascontiguousarray(strip)
