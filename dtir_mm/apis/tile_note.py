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

    Networks whose reach ends somewhere get none. Where it is longer than the overlap, their tiles
    differ as well: those of the released model (140 pixels, an overlap of 64) from the whole image
    by up to 12/255 in shadows, 6/255 in haze and 1/255 in noise, blur and low light.

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
