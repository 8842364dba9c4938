"""Tone curves, for low light, shadows and haze."""

import cv2
import numpy as np

from classical_methods.candidate import rounded

_LEAST = 1e-3


def gamma(image: np.ndarray, exponent: float) -> np.ndarray:
    """Encoded values in [0, 1] to a power; below 1 brightens."""
    return rounded(np.linspace(0, 1, 256) ** exponent)[image]


def gamma_to_mean(image: np.ndarray, mean: float) -> np.ndarray:
    """The power that gives the image's mean, in [0, 1], a value of ``mean``."""
    now = float(np.clip(image.mean() / 255, _LEAST, 1 - _LEAST))
    return gamma(image, np.log(mean) / np.log(now))


def clahe(image: np.ndarray, clip: float, tiles: int) -> np.ndarray:
    """Contrast-limited adaptive histogram equalization of the lightness (CIELAB)."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clip, (tiles, tiles)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def stretch(image: np.ndarray, percent: float, each_channel: bool) -> np.ndarray:
    """Stretches the range between two percentiles to black and white.

    ``percent`` of the values are clipped at either end: of each channel, or of all together.
    """
    axes = (0, 1) if each_channel else None
    low, high = np.percentile(image, (percent, 100 - percent), axis=axes)
    return rounded((image - low) / np.maximum(high - low, 1))


def homomorphic(image: np.ndarray, radius: float, strength: float) -> np.ndarray:
    """Evens out the illumination: the luminance smoothed in the logarithm.

    Args:
        image: RGB uint8 (H, W, 3).
        radius: standard deviation of the Gaussian, as a share of the longer side.
        strength: share of the illumination's deviation from its mean that is removed.
    """
    light = image.astype(np.float32) / 255
    luminance = np.log(light.mean(axis=-1) + 1 / 255)
    illumination = cv2.GaussianBlur(luminance, (0, 0), radius * max(image.shape[:2]))
    gain = np.exp(strength * (illumination.mean() - illumination))
    return rounded(light * gain[..., None])
