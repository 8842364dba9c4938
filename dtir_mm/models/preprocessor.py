"""Preprocessing a collated batch: RGB in the model's range, on its device."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from dtir_mm.models.finite import require_finite
from dtir_mm.registry import MODELS

IMAGES = ('clean', 'degraded')


class ImageRange(NamedTuple):
    """A model's values of black and white."""

    low: float
    high: float

    def from_uint8(self, images: Tensor) -> Tensor:
        """Maps images from 0..255, in floating point, to this range."""
        return images / (255 / (self.high - self.low)) + self.low

    def from_unit_range(self, images: Tensor) -> Tensor:
        """Maps images from [0, 1] to this range."""
        return images * (self.high - self.low) + self.low

    def to_unit_range(self, images: Tensor) -> Tensor:
        """Maps images from this range to [0, 1], clamped.

        Raises:
            NotFiniteError: a value is NaN or infinite.
        """
        require_finite(images, 'an image')
        return images.sub(self.low).div(self.high - self.low).clamp(0, 1)

    def to_signed(self, images: Tensor) -> Tensor:
        """Maps images from this range to [-1, 1]."""
        return images if self.low == -1 else images * 2 - 1


# The preprint does not state the range, on which t_mat depends; the released code uses [0, 1].
IMAGE_RANGES = (ImageRange(-1.0, 1.0), ImageRange(0.0, 1.0))


def checked_range(values: Sequence[float]) -> ImageRange:
    """The member of ``IMAGE_RANGES`` with these values; ValueError if there is none."""
    if tuple(values) not in IMAGE_RANGES:
        accepted = ' or '.join(str(tuple(known)) for known in IMAGE_RANGES)
        raise ValueError(f'image_range={tuple(values)} must be {accepted}')
    return ImageRange(*values)


@MODELS.register_module()
class RestorationPreprocessor(BaseDataPreprocessor):
    """Scales uint8 images (B, 3, H, W) to a range; names, paths and keys are kept.

    Args:
        image_range: the model's values of black and white.
    """

    dtype = torch.float32

    def __init__(self, image_range: ImageRange) -> None:
        super().__init__()
        self.image_range = image_range

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """The batch with its images scaled and moved; ``training`` has no effect."""
        batch = dict(data)
        for name in IMAGES:
            if name in batch:
                image = batch[name].to(self.device, non_blocking=True).to(self.dtype)
                batch[name] = self.image_range.from_uint8(image)
        return batch


def to_uint8(image: Tensor) -> np.ndarray:
    """Converts (B, 3, H, W) in [0, 1] to a uint8 array (B, H, W, 3), rounded.

    Raises:
        NotFiniteError: a value is NaN or infinite.
    """
    require_finite(image, 'an image')
    return image.mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def select(batch: dict[str, Any], indices: list[int]) -> dict[str, Any]:
    """The samples of a batch at ``indices``."""
    return {
        name: value[indices] if isinstance(value, Tensor) else [value[i] for i in indices]
        for name, value in batch.items()
    }
