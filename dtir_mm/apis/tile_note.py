"""Says so where the tiles of a network differ from the same parts of the whole image."""

from functools import lru_cache

import torch
from torch import Tensor

from dtir_mm.models.conditioning.conditioned_backbone import ConditionedBackbone
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.tiling import tile_spans
from dtir_mm.models.tracing.reach import reach


def tile_note(restorer: Restorer, size: tuple[int, int], t: int) -> str | None:
    """A warning, in one line, if tiles of a network that sees the whole image are used.

    Networks whose reach ends somewhere get none: with a sufficient overlap, their tiles are exact.
    The released model has a reach of 140 pixels, but beyond 72 the effect is below 1/255; with its
    overlap of 192, of which the outer 48 pixels are ignored and the next are weighted little,
    tiles differ from the whole image by at most 1/255 (with 64, by up to 12/255 in shadows).

    Args:
        restorer: the restorer.
        size: height and width of the image.
        t: its time step.
    """
    multiple = restorer.backbone.size_rule.multiple
    if all(len(tile_spans(n, restorer.tile, restorer.tile_overlap, multiple)) == 1 for n in size):
        return None
    if _reach(restorer.backbone, t) is not None:
        return None
    return (
        f'the network computes statistics over the whole image, and here over each tile of '
        f'{restorer.tile} pixels: the result differs from that of the whole image, and brightness '
        f'may vary between tiles. A larger tile (--tile) reduces this'
    )


@lru_cache(maxsize=1)
def _reach(backbone: ConditionedBackbone, t: int) -> int | None:
    """It takes about as long as half a tile."""
    like = next(backbone.parameters())

    def residual(images: Tensor) -> Tensor:
        return backbone.predict_residual(images, torch.full((len(images),), t, device=like.device))

    return reach(residual, backbone.size_rule, like)
