"""Synthetic photographs taken with too little light."""

from dataclasses import dataclass

import numpy as np

from dtir_mm.datasets.degradations.base import Degradation, to_uint8
from dtir_mm.registry import TRANSFORMS


@dataclass(frozen=True)
class LowLightStrength:
    """Ranges of uniform distributions.

    Args:
        gamma: exponent on the encoded values; above 1 the dark parts sink into the black.
        white: encoded value in [0, 1] that white is left with.
        photons: of a white pixel in the green channel, before the light was lowered.
        read_noise: standard deviation of the sensor's own noise, in linear light.
    """

    gamma: tuple[float, float]
    white: tuple[float, float]
    photons: float
    read_noise: float


SOURCE = LowLightStrength((2.0, 3.0), (0.5, 0.7), 3000, 0.0006)
TARGET = LowLightStrength((1.3, 1.9), (0.15, 0.35), 1200, 0.0012)

# Red and blue are amplified to give white, and so is their noise.
_WHITE_BALANCE = np.array([2.0, 1.0, 1.6], np.float32)


@TRANSFORMS.register_module()
class LowLight(Degradation):
    """Darkened in linear light, with shot and read noise of the sensor, and encoded again.

    The target is *different*, not strictly heavier: the source loses its shadows to a steep tone
    curve and has little noise; the target is dim throughout, in its bright parts too, and has more
    noise. Ranges are our choice. Shot noise is modelled as Gaussian with the variance of the
    photon count.
    """

    task = 'low_light'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See ``Degradation``."""
        dark = SOURCE if self.severity == 'source' else TARGET
        gamma, white = rng.uniform(*dark.gamma), rng.uniform(*dark.white)
        levels = np.arange(256, dtype=np.float32) / 255
        light = srgb_to_linear(np.float32(white) * levels ** np.float32(gamma))[image]
        variance = light * (_WHITE_BALANCE / dark.photons) + (dark.read_noise * _WHITE_BALANCE) ** 2
        light += np.sqrt(variance) * rng.standard_normal(image.shape, dtype=np.float32)
        return to_uint8(linear_to_srgb(light.clip(0, 1)))


def srgb_to_linear(encoded: np.ndarray) -> np.ndarray:
    """Light of encoded values in [0, 1], by the transfer function of sRGB (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: np.ndarray) -> np.ndarray:
    """Encoded values of light in [0, 1]; the inverse of ``srgb_to_linear``."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
