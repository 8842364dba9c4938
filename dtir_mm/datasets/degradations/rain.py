"""Synthetic rain: bright, slanted, slightly blurred streaks, and a veil when it is heavy."""

from dataclasses import dataclass

import cv2
import numpy as np

from dtir_mm.datasets.degradations.base import Degradation, to_uint8
from dtir_mm.registry import TRANSFORMS

_SKY = np.float32(0.9)
_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class RainStrength:
    """Ranges of uniform distributions.

    Args:
        layers: independent layers of streaks, each with its own direction.
        streaks: streaks of a layer in a megapixel.
        length: of a streak, in pixels.
        width: standard deviation across a streak, in pixels.
        max_angle: largest angle to the vertical, in degrees.
        strength: opacity in the middle of a streak.
        max_veil: largest opacity of the far rain, which lies over the image like mist.
    """

    layers: int
    streaks: tuple[int, int]
    length: tuple[float, float]
    width: float
    max_angle: float
    strength: tuple[float, float]
    max_veil: float


SOURCE = RainStrength(1, (800, 2500), (9, 17), 0.5, 15, (0.35, 0.7), 0.0)
TARGET = RainStrength(2, (1200, 3000), (13, 27), 0.65, 40, (0.6, 0.95), 0.15)


@TRANSFORMS.register_module()
class Rain(Degradation):
    """Streaks of light grey over the image; heavier rain has more, longer, steeper ones.

    Ranges, profile and colour of the streaks are our choice.
    """

    task = 'rainy'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See ``Degradation``."""
        rain = SOURCE if self.severity == 'source' else TARGET
        clean = image.astype(np.float32) / 255
        veil = np.float32(rng.uniform(0, rain.max_veil))
        rainy = clean * (1 - veil) + _SKY * veil
        for _ in range(rain.layers):
            opacity = _streaks(image.shape[:2], rain, rng)[..., None]
            rainy = rainy * (1 - opacity) + _SKY * opacity
        return to_uint8(rainy)


def _streaks(size: tuple[int, int], rain: RainStrength, rng: np.random.Generator) -> np.ndarray:
    """Opacity (H, W) in [0, 1] of one layer."""
    height, width = size
    count = round(rng.uniform(*rain.streaks) * height * width / 1e6)
    wind = rng.uniform(-rain.max_angle, rain.max_angle)
    angles = np.deg2rad(wind + rng.normal(0, 2, count))
    lengths = rng.uniform(*rain.length, count)
    middle = rng.uniform(0, 1, (count, 2)) * (width, height)
    half = np.stack([np.sin(angles), np.cos(angles)], axis=1) * lengths[:, None] / 2
    ends = np.stack([middle - half, middle + half], axis=1)
    strengths = rng.uniform(*rain.strength, count)

    canvas = np.zeros(size, np.uint8)
    # Weak ones first, so that where streaks cross the strongest shows.
    for i in np.argsort(strengths):
        start, end = (ends[i] * (1 << _SUBPIXEL_BITS)).round().astype(int)
        cv2.line(
            canvas,
            start.tolist(),
            end.tolist(),
            int(strengths[i] * 255),
            1,
            cv2.LINE_AA,
            _SUBPIXEL_BITS,
        )
    soft = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), rain.width)
    # The blur spreads a line of about one pixel; give its middle the drawn opacity back.
    return np.minimum(soft * np.float32(rain.width * np.sqrt(2 * np.pi)), 1)
