"""Self-ensembling at test time: the mean over an image and its flips."""

from collections.abc import Callable

import torch
from torch import Tensor

# None, left to right, top to bottom, both; as in the released code.
_FLIPS = ((), (-1,), (-2,), (-1, -2))


def average_over_flips(function: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """The mean of ``function`` over images (B, 3, H, W) and their flips, each flipped back."""
    return torch.stack([function(image.flip(axes)).flip(axes) for axes in _FLIPS]).mean(0)
