"""Synthetic haze, denser with distance."""

from dataclasses import dataclass

import cv2
import numpy as np

from dtir_mm.datasets.degradations.base import Degradation, to_uint8
from dtir_mm.registry import TRANSFORMS

_OCTAVES = 4


@dataclass(frozen=True)
class HazeStrength:
    """Ranges of uniform distributions.

    Args:
        density: beta, extinction at pseudo-depth 1.
        patchiness: share of the plasma noise in the pseudo-depth; the rest is the ramp.
        light: brightness of the airlight in [0, 1].
        tint: largest deviation of a channel of the airlight from it.
    """

    density: tuple[float, float]
    patchiness: float
    light: tuple[float, float]
    tint: float


SOURCE = HazeStrength((0.6, 1.6), 0.3, (0.9, 1.0), 0.0)
TARGET = HazeStrength((1.0, 2.4), 0.9, (0.8, 0.95), 0.1)


@TRANSFORMS.register_module()
class Haze(Degradation):
    """``I t + A (1 - t)`` with the transmission ``t = exp(-beta d)``; target: patchy and coloured.

    Photographs come without depth, so d in [0, 1] is a **pseudo-depth**: a ramp from the bottom
    (near) to the top (far), mixed with plasma noise. Ranges are our choice.
    """

    task = 'hazy'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See ``Degradation``."""
        haze = SOURCE if self.severity == 'source' else TARGET
        height, width = image.shape[:2]
        ramp = np.linspace(1, 0, height, dtype=np.float32)[:, None]
        clouds = _plasma((height, width), rng)
        depth = (1 - haze.patchiness) * ramp + haze.patchiness * clouds
        beta = rng.uniform(*haze.density)
        air = rng.uniform(*haze.light) + haze.tint * rng.uniform(-1, 1, 3)
        air = air.clip(0, 1).astype(np.float32)

        transmission = np.exp(-np.float32(beta) * depth)[..., None]
        clean = image.astype(np.float32) / 255
        return to_uint8(clean * transmission + air * (1 - transmission))


def _plasma(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Plasma noise (H, W), float32, scaled to [0, 1].

    A sum of random grids of 3, 5, 9, ... points a side, each with half the amplitude of the one
    before, resized to the image: its features scale with the image.
    """
    height, width = size
    field = np.zeros(size, np.float32)
    for octave in range(_OCTAVES):
        points = 2 ** (octave + 1) + 1
        grid = rng.random((points, points), dtype=np.float32) * np.float32(0.5**octave)
        field += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.normalize(field, field, 0, 1, cv2.NORM_MINMAX)
