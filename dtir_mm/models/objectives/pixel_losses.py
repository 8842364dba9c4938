"""Pixel losses between restored images and ground truth, which objectives sum.

Each maps two batches (B, 3, H, W) of the same range to per-sample losses (B,).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dtir_mm.registry import MODELS


@MODELS.register_module()
class L1Loss(nn.Module):
    """The mean absolute error (L_content of Eq. 12).

    Its minimum over constants is the median: for degradations that change few pixels, the identity
    is a saddle point where training can stay for long.
    """

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """(B,) of two batches (B, 3, H, W)."""
        return (restored - clean).abs().mean(dim=(1, 2, 3))


@MODELS.register_module()
class CharbonnierLoss(nn.Module):
    """``mean(sqrt(error^2 + epsilon^2))``, a smooth L1 (Lai et al., 2017).

    Args:
        epsilon: the error at which the loss turns from quadratic to linear, in image units.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """(B,) of two batches (B, 3, H, W)."""
        return ((restored - clean).square() + self.epsilon**2).sqrt().mean(dim=(1, 2, 3))


@MODELS.register_module()
class FFTLoss(nn.Module):
    """``weight x mean(abs(fft2(restored) - fft2(clean)))``, the transform not normalised.

    The released code adds it to L1 with a weight of 0.1. Its gradient at a pixel grows with the
    square root of the number of pixels: on patches of 128 px it exceeds that of L1.

    Args:
        weight: of the term.
    """

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """(B,) of two batches (B, 3, H, W)."""
        error = restored - clean
        # Half of the frequencies of a real image are the conjugates of the others; the first and,
        # for even widths, the middle column have no counterpart.
        spectrum = torch.fft.rfft2(error).abs()
        width = error.shape[-1]
        single = spectrum[..., 0] + (spectrum[..., width // 2] if width % 2 == 0 else 0)
        total = 2 * spectrum.sum(dim=(1, 2, 3)) - single.sum(dim=(1, 2))
        return self.weight * total / error[0].numel()


def sum_of(terms: Mapping[str, nn.Module], restored: Tensor, clean: Tensor) -> Tensor:
    """The sum of terms, (B,), of two batches (B, 3, H, W)."""
    return torch.stack([term(restored, clean) for term in terms.values()]).sum(0)


def build_terms(losses: Mapping[str, Any] | None) -> dict[str, nn.Module]:
    """The named terms of a config, without those that are None; L1 if there is no config.

    Raises:
        ValueError: no term is left.
    """
    losses = {'pixel': {'type': 'L1Loss'}} if losses is None else losses
    terms = {name: MODELS.build(loss) for name, loss in losses.items() if loss is not None}
    if not terms:
        raise ValueError(f'losses={dict(losses)} must name at least one loss')
    return terms
