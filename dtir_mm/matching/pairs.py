"""Pairs of degraded and clean images, (N, 3, H, W) each, and their errors."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

MIN_PAIRS = 4
_BATCH = 8


def changed_pairs(degraded: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs that the degradation changed; the others have no residual to match.

    Raises:
        ValueError: there are fewer than four.
    """
    differ = (degraded != clean).flatten(1).any(1)
    if differ.sum() < MIN_PAIRS:
        raise ValueError(
            f'matching needs at least {MIN_PAIRS} pairs whose degraded image differs from the '
            f'ground truth, got {int(differ.sum())} of {len(differ)}'
        )
    return degraded[differ], clean[differ]


def restoration_errors(
    restore: Callable[..., Tensor], degraded: Tensor, clean: Tensor, t: int, *more: Tensor
) -> Tensor:
    """Relative squared errors (N,) of ``restore(y, t, *more)``; all tensors are split alike."""
    return torch.cat(
        [
            relative_squares(restore(y, t, *rest) - x, y - x)
            for y, x, *rest in batches(degraded, clean, *more)
        ]
    )


def relative_squares(error: Tensor, residual: Tensor) -> Tensor:
    """``||error||^2 / ||residual||^2`` of each image, (N,), on the CPU in float64."""
    error, residual = (x.double().square().sum((1, 2, 3)) for x in (error, residual))
    return (error / residual).cpu()


def batches(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Tensors of N rows in batches of at most eight."""
    return zip(*(tensor.split(_BATCH) for tensor in tensors), strict=True)


def noise_like(images: Tensor, rng: torch.Generator) -> Tensor:
    """Standard normal noise from a CPU generator, so that it is the same on every device."""
    return torch.randn(images.shape, generator=rng, dtype=images.dtype).to(images.device)


def steps_like(images: Tensor, t: int) -> Tensor:
    """The time step ``t`` for each image, (N,)."""
    return torch.full((len(images),), t, device=images.device)
