"""Synthetic sensor noise."""

from dataclasses import dataclass

import numpy as np

from dtir_mm.datasets.degradations.base import Degradation, to_uint8
from dtir_mm.registry import TRANSFORMS


@dataclass(frozen=True)
class NoiseStrength:
    """What is added.

    Args:
        sigma: standard deviation of the Gaussian noise, on the scale 0..255.
        photons: photons of a white pixel, which arrive Poisson-distributed; None for a sensor that
            counts without that noise.
    """

    sigma: float
    photons: float | None


SOURCE = NoiseStrength(25, None)
TARGET = NoiseStrength(50, 60)


@TRANSFORMS.register_module()
class Noise(Degradation):
    """Gaussian noise, independent in every pixel and channel; heavier: also Poisson noise.

    The sum is clipped to 0..255 and rounded. Values that leave the range do not wrap around, as
    they do in sets whose noise was added by a bare conversion to uint8.
    """

    task = 'noisy'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See ``Degradation``."""
        return add_noise(image, SOURCE if self.severity == 'source' else TARGET, rng)


def add_noise(image: np.ndarray, noise: NoiseStrength, rng: np.random.Generator) -> np.ndarray:
    """RGB uint8 (H, W, 3) with noise, clipped and rounded."""
    gaussian = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(noise.sigma / 255)
    light = image.astype(np.float32) / 255
    if noise.photons is not None:
        light = (rng.poisson(light * noise.photons) / noise.photons).astype(np.float32)
    return to_uint8(light + gaussian)
