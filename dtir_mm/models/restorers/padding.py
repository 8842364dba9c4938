"""Images of any size through a network that takes only some."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from dtir_mm.models.tracing.sizes import SizeRule


def apply_padded(function: Callable[[Tensor], Tensor], image: Tensor, rule: SizeRule) -> Tensor:
    """What a function makes of images (B, 3, H, W), reflected at right and bottom to fit.

    Args:
        function: keeps the size of what it is given.
        image: of any size; where it is too small to be reflected, its border is repeated.
        rule: the sizes that the function takes.
    """
    height, width = image.shape[-2:]
    padded_height, padded_width = rule.enclosing(height, width)
    bottom, right = padded_height - height, padded_width - width
    mode = 'reflect' if bottom < height and right < width else 'replicate'
    padded = F.pad(image, (0, right, 0, bottom), mode=mode) if bottom or right else image
    return function(padded)[..., :height, :width]
