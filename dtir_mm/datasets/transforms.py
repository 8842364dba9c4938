"""Transforms of samples: patches, flips and quarter turns, strengths, packing.

They map dicts with images ``clean`` and (for pairs) ``degraded``, RGB uint8 (H, W, 3), to such
dicts, and draw random numbers only from ``results['rng']``.
"""

from typing import Any

import cv2
import numpy as np
import torch

from dtir_mm.registry import TRANSFORMS

_IMAGES = ('clean', 'degraded')


@TRANSFORMS.register_module()
class RandomPatch:
    """Crops the same random square from all images; small images are padded by reflection.

    Args:
        size: side of the patch in pixels.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f'size={size} of RandomPatch must be at least 1')
        self.size = size

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its images cut to (size, size, 3)."""
        names = [name for name in _IMAGES if name in results]
        for name in names:
            results[name] = self._padded(results[name])
        height, width = results[names[0]].shape[:2]
        top = int(results['rng'].integers(height - self.size + 1))
        left = int(results['rng'].integers(width - self.size + 1))
        for name in names:
            results[name] = results[name][top : top + self.size, left : left + self.size]
        return results

    def _padded(self, image: np.ndarray) -> np.ndarray:
        bottom = max(self.size - image.shape[0], 0)
        right = max(self.size - image.shape[1], 0)
        if not bottom and not right:
            return image
        # BORDER_REFLECT repeats, so it works for images smaller than the padding.
        return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT)


@TRANSFORMS.register_module()
class RandomFlipTurn:
    """A random one of the eight flips and quarter turns, the same for all images."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its images flipped and turned."""
        turns = int(results['rng'].integers(4))
        flip = bool(results['rng'].integers(2))
        for name in _IMAGES:
            if name in results:
                image = np.rot90(results[name], turns)
                results[name] = image[:, ::-1] if flip else image
        return results


@TRANSFORMS.register_module()
class RandomFlip:
    """Random horizontal and vertical flips, the same for all images."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its images flipped."""
        flips = [slice(None, None, -1 if results['rng'].integers(2) else 1) for _ in range(2)]
        for name in _IMAGES:
            if name in results:
                results[name] = results[name][flips[0], flips[1]]
        return results


@TRANSFORMS.register_module()
class RandomStrength:
    """Makes the degradation weaker or stronger, so that a network learns more than one strength.

    The difference between the degraded image and the ground truth is multiplied by a random factor.
    For degradations that add something to the image, such as noise, that is nearly what another
    strength looks like; for others, such as low light, it is not.

    Args:
        low: smallest factor, above 0.
        high: largest factor.

    Raises:
        ValueError: not 0 < ``low`` <= ``high``.
    """

    def __init__(self, low: float = 0.5, high: float = 1.5) -> None:
        if not 0 < low <= high:
            raise ValueError(f'low={low} and high={high} of RandomStrength must be 0 < low <= high')
        self.low, self.high = low, high

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with another degraded image, rounded and clipped to 0..255.

        Raises:
            ValueError: it is no pair.
        """
        if 'degraded' not in results:
            path = results['path']
            raise ValueError(f'RandomStrength is for pairs: {path} has no degraded image')
        factor = results['rng'].uniform(self.low, self.high)
        results['degraded'] = scale_degradation(results['degraded'], results['clean'], factor)
        return results


def scale_degradation(degraded: np.ndarray, clean: np.ndarray, factor: float) -> np.ndarray:
    """The ground truth plus ``factor`` times the difference; images are uint8 of any shape."""
    base = clean.astype(np.float32)
    scaled = base + np.float32(factor) * (degraded - base)
    return scaled.round().clip(0, 255).astype(np.uint8)


@TRANSFORMS.register_module()
class PackSample:
    """Last step: converts images to uint8 tensors (3, H, W) and drops what batches do not need."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample that a data loader collates."""
        packed = {name: results[name] for name in ('task', 'domain', 'path')}
        packed['key'] = torch.tensor(results['key'])
        for name in _IMAGES:
            if name in results:
                chw = np.ascontiguousarray(results[name].transpose(2, 0, 1))
                packed[name] = torch.from_numpy(chw)
        return packed
