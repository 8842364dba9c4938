"""Whether the time step has any effect on a network; otherwise no criterion can match."""

import torch
from torch import Tensor

from dtir_mm.matching.criteria.criterion import PretrainedNetwork
from dtir_mm.matching.pairs import MIN_PAIRS, steps_like

# Rounding differences between equal outputs in float32, relative to the largest value.
_ROUNDING = 1e-6


@torch.no_grad()
def why_no_effect(network: PretrainedNetwork, degraded: Tensor) -> str | None:
    """Why no criterion can tell the time steps of these weights apart; None if one may.

    ``score`` and ``trajectory`` depend on t through the schedule, too, so that their errors have a
    minimum even then. Outputs and features at three steps are compared on a few images.

    Args:
        network: the pre-trained network.
        degraded: images (N, 3, H, W) in the network's range.
    """
    images = degraded[:MIN_PAIRS]
    last = network.schedule.num_steps
    first, *others = (
        network.residual_and_features(images, steps_like(images, t))
        for t in (1, (last + 1) // 2, last)
    )
    for other in others:
        for at_first, at_other in zip(first, other, strict=True):
            if (at_first - at_other).abs().max() > _ROUNDING * at_first.abs().max():
                return None
    return f'the time step has no effect on these weights: all of 1..{last} give the same output'
