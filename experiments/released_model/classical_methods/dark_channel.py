"""Haze removal by the dark channel prior, refined by the guided filter.

He, Sun and Tang: "Single image haze removal using dark channel prior" (2009) and "Guided image
filtering" (2010).
"""

import cv2
import numpy as np

from classical_methods.candidate import rounded

_BRIGHTEST = 0.001  # share of the pixels that the airlight is taken from
_GUIDE_RADIUS = 4  # of the guided filter, in patches
_GUIDE_EPSILON = 1e-3


def dark_channel_prior(image: np.ndarray, patch: int, omega: float, least: float) -> np.ndarray:
    """Inverts ``I = J t + A (1 - t)`` with the transmission t estimated from the dark channel.

    Args:
        image: RGB uint8 (H, W, 3).
        patch: side of the dark channel's squares in pixels, odd.
        omega: share of the estimated haze that is removed, in [0, 1].
        least: lower bound of t.
    """
    hazy = image.astype(np.float32) / 255
    air = airlight(hazy, dark_channel(hazy, patch))
    transmission = 1 - omega * dark_channel(hazy / air, patch)
    radius = _GUIDE_RADIUS * patch
    transmission = guided_filter(hazy.mean(axis=-1), transmission, radius, _GUIDE_EPSILON)
    return rounded((hazy - air) / transmission.clip(least, 1)[..., None] + air)


def dark_channel(image: np.ndarray, patch: int) -> np.ndarray:
    """The minimum (H, W) over channels and a square, of an image (H, W, 3)."""
    return cv2.erode(image.min(axis=-1), np.ones((patch, patch), np.uint8))


def airlight(image: np.ndarray, dark: np.ndarray) -> np.ndarray:
    """Colour (3,) of the haze: of the brightest pixel where the dark channel is highest."""
    count = max(1, round(_BRIGHTEST * dark.size))
    hazest = np.argsort(dark, axis=None, kind='stable')[-count:]
    colours = image.reshape(-1, 3)[hazest]
    return colours[colours.sum(axis=1).argmax()].clip(1 / 255)


def guided_filter(guide: np.ndarray, image: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Smooths an image (H, W) along the edges of a guide (H, W), by linear models in boxes."""

    def mean(values: np.ndarray) -> np.ndarray:
        side = 2 * radius + 1
        return cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_REFLECT_101)

    mean_guide, mean_image = mean(guide), mean(image)
    covariance = mean(guide * image) - mean_guide * mean_image
    variance = mean(guide * guide) - mean_guide**2
    slope = covariance / (variance + epsilon)
    offset = mean_image - slope * mean_guide
    return mean(slope) * guide + mean(offset)
