"""PSNR and SSIM of one image, as restoration papers report them (values 0 to 255)."""

import cv2
import numpy as np

PSNR_CAP = 100.0  # of equal images, so that averages stay finite

_WINDOW = cv2.getGaussianKernel(11, 1.5)
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def psnr(restored: np.ndarray, clean: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, at most ``PSNR_CAP``.

    Args:
        restored: (H, W, 3) or (H, W), values 0 to 255.
        clean: of the same shape.

    Raises:
        ValueError: the shapes differ, or a value is NaN or infinite.
    """
    x, y = _checked(restored, clean)
    error = float(np.mean(np.square(x - y)))
    return min(float(10 * np.log10(255**2 / error)), PSNR_CAP) if error else PSNR_CAP


def ssim(restored: np.ndarray, clean: np.ndarray) -> float:
    """Structural similarity (Wang et al., 2004), at most 1: the mean over pixels and channels.

    The window is an 11 x 11 Gaussian with sigma 1.5, at pixels where it lies inside the image.

    Args:
        restored: (H, W, 3) or (H, W), values 0 to 255, at least 11 x 11 pixels.
        clean: of the same shape.

    Raises:
        ValueError: the shapes differ, the images are smaller than the window, or a value is NaN or
            infinite.
    """
    x, y = _checked(restored, clean)
    if min(clean.shape[:2]) < len(_WINDOW):
        raise ValueError(
            f'SSIM needs images of at least 11 x 11 pixels, got {clean.shape[0]} x {clean.shape[1]}'
        )
    mean_x, mean_y = _window_means(x), _window_means(y)
    # The map needs the two variances only as a sum.
    variances = _window_means(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = _window_means(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (variances + _C2)
    return float(np.mean(luminance * structure))


def _window_means(image: np.ndarray) -> np.ndarray:
    """Gaussian-weighted means (H - 10, W - 10[, 3]) of the windows inside the image."""
    return cv2.sepFilter2D(image, cv2.CV_64F, _WINDOW, _WINDOW)[5:-5, 5:-5]


def _checked(restored: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both images in float64."""
    if restored.shape != clean.shape:
        raise ValueError(
            f'the restored image has the shape {restored.shape}, the clean one {clean.shape}'
        )
    x, y = restored.astype(np.float64), clean.astype(np.float64)
    if not np.isfinite(x.sum() + y.sum()):
        raise ValueError('the images hold NaN or infinity')
    return x, y
