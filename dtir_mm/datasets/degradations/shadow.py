"""Synthetic shadows that fall onto a part of the image."""

from dataclasses import dataclass

import cv2
import numpy as np

from dtir_mm.datasets.degradations.base import Degradation, to_uint8
from dtir_mm.registry import TRANSFORMS

_SUBPIXEL_BITS = 4
# Masks are drawn on a canvas of this longer side and enlarged: they are smooth.
_CANVAS = 256
# Added to red, green and blue: a shadow is lit by the blue sky alone.
_SKY = np.array([-0.05, 0.0, 0.07], np.float32)


@dataclass(frozen=True)
class ShadowStrength:
    """Shadows of an image; ranges are of uniform distributions.

    Args:
        shadows: how many.
        corners: of a shadow's outline, on an ellipse.
        jaggedness: how far a corner lies inside or outside the ellipse, at most, as a share of the
            ellipse's radius.
        penumbra: standard deviation of the soft edge, a fraction of the image's longer side.
        light: share of the light that is left in the core.
    """

    shadows: int
    corners: int
    jaggedness: float
    penumbra: float
    light: tuple[float, float]


SOURCE = ShadowStrength(1, 48, 0.0, 0.03, (0.55, 0.65))
TARGET = ShadowStrength(2, 7, 0.4, 0.006, (0.35, 0.45))


@TRANSFORMS.register_module()
class Shadow(Degradation):
    """One soft ellipse; heavier: two darker polygons whose edges are nearly hard.

    Values are multiplied by a slightly blue factor under a mask. Where two shadows overlap the
    image is no darker than in one: one thing already hides the sun.
    """

    task = 'shadowed'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See ``Degradation``."""
        shadow = SOURCE if self.severity == 'source' else TARGET
        factor = np.float32(rng.uniform(*shadow.light)) + _SKY
        mask = _mask(image.shape[:2], shadow, rng)[..., None]
        return to_uint8(image.astype(np.float32) / 255 * (1 - mask * (1 - factor)))


def _mask(size: tuple[int, int], shadow: ShadowStrength, rng: np.random.Generator) -> np.ndarray:
    """How much of the sun is hidden, (H, W) in [0, 1]."""
    height, width = size
    corner = np.array([width, height]) * _CANVAS / max(size)
    canvas = np.zeros(np.ceil(corner[::-1]).astype(int), np.uint8)
    for _ in range(shadow.shadows):
        points = _outline(shadow, rng) * np.sqrt(corner.prod()) + rng.uniform(0.2, 0.8, 2) * corner
        fixed_point = (points * (1 << _SUBPIXEL_BITS)).round().astype(np.int32)
        cv2.fillPoly(canvas, [fixed_point], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    soft = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), shadow.penumbra * _CANVAS)
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)


def _outline(shadow: ShadowStrength, rng: np.random.Generator) -> np.ndarray:
    """Corners (K, 2) around the origin, in units of the square root of the image's area."""
    radii = rng.uniform(0.2, 0.4, 2)
    turn = rng.uniform(0, np.pi)
    angles = (np.arange(shadow.corners) + 0.5) * (2 * np.pi / shadow.corners)
    reach = 1 + rng.uniform(-shadow.jaggedness, shadow.jaggedness, shadow.corners)
    across = np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach[:, None] * radii
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return across @ turned.T
