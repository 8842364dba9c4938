"""How far a network sees: up to there, a tile differs from the same part of the whole image."""

from collections.abc import Callable

import torch
from torch import Tensor

from dtir_mm.models.tracing.sizes import SizeRule

_TOLERANCE = 1e-6  # of the largest output: masked attention leaves differences of e^-100


@torch.no_grad()
def reach(
    function: Callable[[Tensor], Tensor], rule: SizeRule, like: Tensor, limit: int = 256
) -> int | None:
    """The largest distance in pixels over which a pixel changes the result.

    Measured, with the present weights: the outermost pixels of noise are inverted.

    Args:
        function: maps images (B, 3, H, W) to the same shape; no image may affect another.
        rule: the sizes that it accepts.
        like: a tensor of the images' data type and device.
        limit: the largest distance that is looked for.

    Returns:
        The distance; None if it exceeds ``limit``: it has no end where a network pools, normalizes
        or attends over all positions.
    """
    outer = rule.multiple
    length, width = rule.enclosing(outer + limit + 1, 1)
    rng = torch.Generator().manual_seed(0)
    strip = torch.rand(3, width, length, generator=rng).to(like) * 2 - 1
    strips = strip.repeat(3, 1, 1, 1)
    strips[1, ..., :outer] *= -1
    strips[2, ..., -outer:] *= -1
    farthest = 0
    for turned in (False, True):
        output = function(strips.mT if turned else strips)
        output = output.mT if turned else output
        changed = (output[1:] - output[0]).abs() > _TOLERANCE * output.abs().max()
        left, right = changed.any(dim=1).any(dim=1)
        places = (left | right.flip(0)).nonzero()
        last = int(places.max()) if len(places) else 0
        if last == length - 1:
            return None
        farthest = max(farthest, last + 1 - outer)
    return farthest
