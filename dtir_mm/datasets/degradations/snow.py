"""Synthetic snow: flakes near and far, and a veil when it is heavy."""

from dataclasses import dataclass

import cv2
import numpy as np

from dtir_mm.datasets.degradations.base import Degradation, to_uint8
from dtir_mm.registry import TRANSFORMS

_WHITE = np.float32(0.97)
_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class FlakeLayer:
    """Flakes at one distance from the camera; ranges are of uniform distributions.

    Args:
        flakes: in a megapixel.
        radius: of a flake, in pixels.
        opacity: of a flake's middle.
        fall: length in pixels that flakes fall during the exposure.
        defocus: standard deviation of the blur, in pixels.
    """

    flakes: tuple[int, int]
    radius: tuple[float, float]
    opacity: tuple[float, float]
    fall: float
    defocus: float


@dataclass(frozen=True)
class SnowStrength:
    """Layers from far to near, and the largest opacity of the far snow, a mist over all."""

    layers: tuple[FlakeLayer, ...]
    max_veil: float


SOURCE = SnowStrength(
    (
        FlakeLayer((900, 1800), (0.6, 1.2), (0.4, 0.7), 0, 0.5),
        FlakeLayer((150, 400), (1.5, 2.6), (0.6, 0.9), 2, 0.7),
    ),
    0.0,
)
TARGET = SnowStrength(
    (
        FlakeLayer((2000, 3500), (0.8, 1.5), (0.5, 0.8), 2, 0.6),
        FlakeLayer((400, 900), (2.0, 4.0), (0.6, 0.9), 5, 1.0),
        FlakeLayer((50, 120), (5.0, 11.0), (0.5, 0.8), 9, 3.0),
    ),
    0.25,
)


@TRANSFORMS.register_module()
class Snow(Degradation):
    """Small, sparse flakes; heavier: more and larger ones, near ones out of focus, and a veil."""

    task = 'snowy'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See ``Degradation``."""
        snow = SOURCE if self.severity == 'source' else TARGET
        clean = image.astype(np.float32) / 255
        veil = np.float32(rng.uniform(0, snow.max_veil))
        wind = np.deg2rad(rng.uniform(-35, 35))
        snowy = clean * (1 - veil) + _WHITE * veil
        for layer in snow.layers:
            opacity = _flakes(image.shape[:2], layer, wind, rng)[..., None]
            snowy = snowy * (1 - opacity) + _WHITE * opacity
        return to_uint8(snowy)


def _flakes(
    size: tuple[int, int], layer: FlakeLayer, wind: float, rng: np.random.Generator
) -> np.ndarray:
    """Opacity (H, W) in [0, 1] of one layer that falls at the angle ``wind`` to the vertical."""
    height, width = size
    count = round(rng.uniform(*layer.flakes) * height * width / 1e6)
    middles = rng.uniform(0, 1, (count, 2)) * (width, height)
    radii = rng.uniform(*layer.radius, count)
    opacities = np.sort(rng.uniform(*layer.opacity, count))
    halves = layer.fall / 2 * rng.uniform(0.6, 1.2, (count, 1)) * [np.sin(wind), np.cos(wind)]

    canvas = np.zeros(size, np.uint8)
    scale = 1 << _SUBPIXEL_BITS
    for middle, half, radius, opacity in zip(middles, halves, radii, opacities, strict=True):
        start, end = (
            ((middle + side * half) * scale).round().astype(int).tolist() for side in (-1, 1)
        )
        colour = round(opacity * 255)
        cv2.line(canvas, start, end, colour, max(1, round(2 * radius)), cv2.LINE_AA, _SUBPIXEL_BITS)
    return cv2.GaussianBlur(canvas, (0, 0), layer.defocus).astype(np.float32) / 255
