"""Synthetic blur: out of focus, or of a camera that moved."""

import cv2
import numpy as np

from dtir_mm.datasets.degradations.base import Degradation
from dtir_mm.registry import TRANSFORMS

SOURCE = (1.0, 1.6)
"""Standard deviation of the Gaussian, in pixels: drawn uniformly."""
TARGET = 9.0
"""Length of the camera's path, in pixels."""

_PATH_POINTS = 64
_MAX_TURN = np.deg2rad(100)


@TRANSFORMS.register_module()
class Blur(Degradation):
    """Gaussian blur; unseen: motion blur along a curved path, the same over the whole image.

    Both average encoded, not linear, values, as the common benchmarks do.
    """

    task = 'blurry'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See ``Degradation``."""
        if self.severity == 'source':
            return cv2.GaussianBlur(image, (0, 0), rng.uniform(*SOURCE))
        return cv2.filter2D(image, -1, motion_kernel(TARGET, rng))


def motion_kernel(length: float, rng: np.random.Generator) -> np.ndarray:
    """How long a camera that shakes dwells at each offset: (K, K) float32, of sum 1, K odd.

    Args:
        length: of the path, in pixels; its direction is random and turns by up to 100 degrees.
        rng: what direction and turns are drawn from.
    """
    step = length / _PATH_POINTS
    turns = rng.normal(0, 1, _PATH_POINTS).cumsum()
    turns *= rng.uniform(0, _MAX_TURN) / max(np.ptp(turns), 1e-9)
    heading = rng.uniform(0, 2 * np.pi) + turns
    path = np.stack([np.sin(heading), np.cos(heading)], axis=1).cumsum(axis=0) * step
    path -= path.mean(axis=0)

    radius = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    corner = np.floor(path).astype(int)
    fraction = path - corner
    for row in (0, 1):
        for column in (0, 1):
            weight = np.abs(1 - row - fraction[:, 0]) * np.abs(1 - column - fraction[:, 1])
            np.add.at(kernel, (corner[:, 0] + row + radius, corner[:, 1] + column + radius), weight)
    return kernel / kernel.sum()
