"""From a collated batch to what the restorers work on: RGB in [-1, 1], on the model's device."""

from typing import Any

import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from dtir_mm.registry import MODELS

IMAGES = ('clean', 'degraded')


@MODELS.register_module()
class RestorationPreprocessor(BaseDataPreprocessor):
    """Scales uint8 images (B, 3, H, W) to [-1, 1]; names, paths and keys stay as they are."""

    dtype = torch.float32

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """The batch with its images scaled and moved; ``training`` changes nothing."""
        batch = dict(data)
        for name in IMAGES:
            if name in batch:
                image = batch[name].to(self.device, non_blocking=True).to(self.dtype)
                batch[name] = image / 127.5 - 1
        return batch


def to_unit_range(image: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1], clamped."""
    return image.add(1).div(2).clamp(0, 1)


def to_uint8(image: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [0, 1] to a uint8 array (B, H, W, 3), rounded."""
    return image.mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def select(batch: dict[str, Any], indices: list[int]) -> dict[str, Any]:
    """The samples of a batch at ``indices``."""
    return {
        name: value[indices] if isinstance(value, Tensor) else [value[i] for i in indices]
        for name, value in batch.items()
    }
