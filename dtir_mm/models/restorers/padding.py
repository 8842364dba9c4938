"""Padding images to a size that a network accepts."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from dtir_mm.models.tracing.sizes import SizeRule


def apply_padded(function: Callable[[Tensor], Tensor], image: Tensor, rule: SizeRule) -> Tensor:
    """Applies a function to images (B, 3, H, W) that are padded at the right and bottom.

    Args:
        function: keeps the size of its input.
        image: of any size. It is padded by reflection, or, if it is too small, by its border.
        rule: the sizes that the function accepts.
    """
    height, width = image.shape[-2:]
    padded_height, padded_width = rule.enclosing(height, width)
    bottom, right = padded_height - height, padded_width - width
    mode = 'reflect' if bottom < height and right < width else 'replicate'
    padded = F.pad(image, (0, right, 0, bottom), mode=mode) if bottom or right else image
    return function(padded)[..., :height, :width]
