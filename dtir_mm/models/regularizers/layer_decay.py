"""Layer-wise decay: which layers receive generative gradients and the penalty.

Eq. 10 and 21 weight all layers by w(t) = exp(-a t) ("scalar"). In Fig. 3, fewer layers receive them
the larger t is, and shallow ones keep them longest ("cut", "soft").
"""

import math

import torch
from torch import Tensor

MODES = ('cut', 'soft', 'scalar', 'none')


def layer_decay(
    depth: Tensor, t: int, rate: float = 0.05, mode: str = 'cut', fraction: float | None = None
) -> Tensor:
    """The factor of each layer, in [0, 1], like ``depth``.

    Args:
        depth: of each layer, in 0 (first executed) to 1 (last).
        t: matched time step.
        rate: a of w(t) = exp(-a t); 0.05 in the paper.
        mode: "cut", 1 where depth <= w(t) and 0 below; "soft", exp(-a t depth); "scalar", w(t)
            everywhere, Eq. 10 as printed; "none", 1 everywhere.
        fraction: replaces w(t) in "cut": the share of the depth that receives them (Fig. 3).

    Raises:
        ValueError: the mode is unknown, or a fraction lies outside [0, 1] or is not for "cut".
    """
    if mode not in MODES:
        raise ValueError(f'mode={mode!r} of the layer-wise decay must be one of {MODES}')
    if fraction is not None and (mode != 'cut' or not 0 <= fraction <= 1):
        raise ValueError(
            f'fraction={fraction} of the layer-wise decay needs mode="cut" and 0 <= fraction <= 1, '
            f'got mode={mode!r}'
        )
    weight = math.exp(-rate * t)
    if mode == 'cut':
        return (depth <= (weight if fraction is None else fraction)).to(depth.dtype)
    if mode == 'soft':
        return torch.exp(-rate * t * depth)
    return torch.full_like(depth, weight if mode == 'scalar' else 1.0)
