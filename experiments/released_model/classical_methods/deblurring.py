"""Sharpening, and deconvolution with a Gaussian whose width is tuned."""

from collections.abc import Callable

import cv2
import numpy as np
from skimage import restoration

from classical_methods.candidate import rounded

_BORDER = 16  # reflected pixels, because deconvolution treats images as periodic or as cut off


def unsharp_mask(image: np.ndarray, sigma: float, amount: float) -> np.ndarray:
    """Adds ``amount`` times the difference from a Gaussian blur of ``sigma`` pixels."""
    light = image.astype(np.float32) / 255
    return rounded(light + amount * (light - cv2.GaussianBlur(light, (0, 0), sigma)))


def wiener(image: np.ndarray, sigma: float, balance: float) -> np.ndarray:
    """Wiener deconvolution; a larger ``balance`` regularizes more."""
    return _each_channel(image, lambda light: restoration.wiener(light, gaussian(sigma), balance))


def richardson_lucy(image: np.ndarray, sigma: float, iterations: int) -> np.ndarray:
    """Richardson-Lucy deconvolution; more iterations regularize less."""
    psf = gaussian(sigma)
    return _each_channel(image, lambda light: restoration.richardson_lucy(light, psf, iterations))


def gaussian(sigma: float) -> np.ndarray:
    """A Gaussian of sum 1, (K, K), K odd."""
    line = cv2.getGaussianKernel(2 * int(np.ceil(3 * sigma)) + 1, sigma)
    return line @ line.T


def _each_channel(image: np.ndarray, method: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    margins = ((_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0))
    padded = np.pad(image.astype(np.float64) / 255, margins, mode='reflect')
    channels = [method(padded[..., channel]) for channel in range(3)]
    inside = slice(_BORDER, -_BORDER)
    return rounded(np.stack(channels, axis=-1)[inside, inside])
