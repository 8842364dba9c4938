"""Images that resemble photographs."""

import numpy as np


def natural_image(seed: int, height: int, width: int) -> np.ndarray:
    """Random fields smooth like photographs, in colour: uint8 RGB (H, W, 3)."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    spectrum = np.fft.fft2(rng.standard_normal((4, height, width)))
    grey, *colours = np.fft.ifft2(spectrum / np.maximum(frequency, 0.5 / width) ** 1.4).real
    image = grey + 0.5 * np.stack(colours)
    image = 128 + 50 * (image - image.mean()) / image.std()
    return image.clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
