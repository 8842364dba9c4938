"""Synthetic holes: strokes of a pen, filled with white."""

from dataclasses import dataclass

import cv2
import numpy as np

from dtir_mm.datasets.degradations.base import Degradation
from dtir_mm.registry import TRANSFORMS

_STEPS = 32


@dataclass(frozen=True)
class StrokeStrength:
    """Strokes of an image; lengths are fractions of the square root of its area.

    Args:
        strokes: how many, drawn uniformly.
        width: of a stroke, drawn uniformly; at least two pixels.
        length: of a stroke.
    """

    strokes: tuple[int, int]
    width: tuple[float, float]
    length: tuple[float, float]


SOURCE = StrokeStrength((4, 8), (0.005, 0.010), (0.4, 0.9))
TARGET = StrokeStrength((9, 14), (0.015, 0.03), (0.4, 0.9))


@TRANSFORMS.register_module()
class Inpainting(Degradation):
    """Wandering strokes whose pixels are lost, marked by pure white; heavier: more and wider ones.

    All other pixels are untouched. As in the set that the paper takes its holes from, a hole is
    known by its white alone; there is no mask beside the image.
    """

    task = 'inpainting'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See ``Degradation``."""
        holes = SOURCE if self.severity == 'source' else TARGET
        height, width = image.shape[:2]
        unit = np.sqrt(height * width)
        degraded = image.copy()
        for _ in range(round(rng.uniform(*holes.strokes))):
            path = _wander(rng) * rng.uniform(*holes.length) * unit
            path += rng.uniform(0, 1, 2) * (width, height) - path.mean(axis=0)
            thickness = max(2, round(rng.uniform(*holes.width) * unit))
            points = path.round().astype(np.int32)[:, None]
            cv2.polylines(degraded, [points], False, (255, 255, 255), thickness)
        return degraded


def _wander(rng: np.random.Generator) -> np.ndarray:
    """A path of length 1 that turns at random: (steps + 1, 2)."""
    heading = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.3, _STEPS).cumsum()
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) / _STEPS
    return np.concatenate([np.zeros((1, 2)), steps.cumsum(axis=0)])
