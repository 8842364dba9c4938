"""Fills holes that are marked by pure white."""

import cv2
import numpy as np
from skimage import restoration

from classical_methods.candidate import rounded

_METHODS = {'telea': cv2.INPAINT_TELEA, 'ns': cv2.INPAINT_NS}


def inpaint(
    image: np.ndarray, method: str, radius: int, grow: int, holes: np.ndarray | None = None
) -> np.ndarray:
    """Fills holes by OpenCV's method "telea" or "ns" (Navier-Stokes).

    Args:
        image: RGB uint8 (H, W, 3).
        method: its name.
        radius: of the neighbourhood that a pixel is filled from, in pixels.
        grow: pixels by which holes are widened first.
        holes: where pixels are missing, bool (H, W); None for where the image is ``white``.
    """
    return cv2.inpaint(image, _mask(image, grow, holes), radius, _METHODS[method])


def inpaint_biharmonic(image: np.ndarray, grow: int, holes: np.ndarray | None = None) -> np.ndarray:
    """Fills holes by scikit-image's biharmonic equation; see ``inpaint``."""
    filled = restoration.inpaint_biharmonic(
        image.astype(np.float32) / 255,
        _mask(image, grow, holes) > 0,
        split_into_regions=True,
        channel_axis=-1,
    )
    return rounded(filled)


def _mask(image: np.ndarray, grow: int, holes: np.ndarray | None) -> np.ndarray:
    mask = (white(image) if holes is None else holes).astype(np.uint8)
    return cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=grow)


def white(image: np.ndarray) -> np.ndarray:
    """Where all channels are 255, bool (H, W): the holes, and whatever else is pure white."""
    return (image == 255).all(axis=-1)
