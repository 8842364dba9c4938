"""Denoisers, and median filters that remove streaks, flakes and drops.

The strength of a denoiser is ``factor`` times the standard deviation ``sigma`` of the noise, in
grey levels; None estimates it from each image (``skimage.restoration.estimate_sigma``), so that
settings found at one noise level also fit others.
"""

import cv2
import numpy as np
from skimage import filters, restoration

from classical_methods.candidate import rounded

_TV_ITERATIONS = 40


def non_local_means(image: np.ndarray, sigma: float | None, factor: float) -> np.ndarray:
    """Non-local means (Buades et al., 2005), with scikit-image's fast algorithm."""
    light, deviation = _light(image), _deviation(image, sigma)
    if deviation == 0:
        return image
    denoised = restoration.denoise_nl_means(
        light,
        patch_size=5,
        patch_distance=6,
        h=factor * deviation,
        sigma=deviation,
        fast_mode=True,
        channel_axis=-1,
    )
    return rounded(denoised)


def bilateral(image: np.ndarray, sigma: float | None, factor: float, radius: float) -> np.ndarray:
    """OpenCV's bilateral filter; ``radius`` is the standard deviation in space, in pixels."""
    return cv2.bilateralFilter(image, -1, 255 * factor * _deviation(image, sigma), radius)


def total_variation(image: np.ndarray, sigma: float | None, factor: float) -> np.ndarray:
    """Total-variation denoising by Chambolle's algorithm (2004)."""
    weight = factor * _deviation(image, sigma)
    if weight == 0:
        return image
    denoised = restoration.denoise_tv_chambolle(
        _light(image), weight, max_num_iter=_TV_ITERATIONS, channel_axis=-1
    )
    return rounded(denoised)


def wavelet(image: np.ndarray, sigma: float | None, factor: float) -> np.ndarray:
    """Soft thresholding of wavelet coefficients (BayesShrink) in YCbCr."""
    denoised = restoration.denoise_wavelet(
        _light(image),
        sigma=factor * _deviation(image, sigma) or None,
        convert2ycbcr=True,
        rescale_sigma=True,
        channel_axis=-1,
    )
    return rounded(denoised)


def median(image: np.ndarray, size: int) -> np.ndarray:
    """The median of each channel over squares of ``size`` pixels."""
    return cv2.medianBlur(image, size)


def selective_median(image: np.ndarray, size: tuple[int, int], threshold: int) -> np.ndarray:
    """Takes the median where the image is much brighter than it.

    Streaks and flakes are narrow and brighter than what surrounds them. A pixel is replaced if its
    mean over channels exceeds that of the median by more than ``threshold`` grey levels.

    Args:
        image: RGB uint8 (H, W, 3).
        size: width and height of the median's window in pixels.
        threshold: see above.
    """
    width, height = size
    smooth = filters.median(image, np.ones((height, width, 1)))
    excess = image.mean(axis=-1) - smooth.mean(axis=-1)
    return np.where((excess > threshold)[..., None], smooth, image)


def _light(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) / 255


def _deviation(image: np.ndarray, sigma: float | None) -> float:
    """Standard deviation of the noise for images in [0, 1]."""
    if sigma is None:
        return float(
            restoration.estimate_sigma(_light(image), average_sigmas=True, channel_axis=-1)
        )
    return sigma / 255
