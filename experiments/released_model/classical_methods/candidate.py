"""A method and the grid of settings to choose from."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Candidate:
    """A method that is tuned by trying every setting.

    Args:
        name: of the method, in tables.
        method: takes an RGB uint8 image (H, W, 3) and the settings; returns another image.
        grid: values to try for each setting.
    """

    name: str
    method: Callable[..., np.ndarray]
    grid: dict[str, Sequence[Any]]

    def settings(self) -> list[dict[str, Any]]:
        """Every combination of the grid's values."""
        return [
            dict(zip(self.grid, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]


def rounded(image: np.ndarray) -> np.ndarray:
    """A float image in [0, 1] as uint8, clipped."""
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)
