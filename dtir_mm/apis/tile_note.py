"""Says so where the tiles of a network differ from the same parts of the whole image."""

import torch
from torch import Tensor

from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.tiling import tile_spans
from dtir_mm.models.tracing.reach import reach


def tile_note(restorer: Restorer, size: tuple[int, int], t: int) -> str | None:
    """A warning, in one line, if tiles of a network that sees the whole image are used.

    It takes about as long as half a tile. Networks whose reach ends somewhere get none: the tiles
    of the released model differ from the whole image by at most 0.02/255.

    Args:
        restorer: the restorer.
        size: height and width of the image.
        t: its time step.
    """
    multiple = restorer.backbone.size_rule.multiple
    if all(len(tile_spans(n, restorer.tile, restorer.tile_overlap, multiple)) == 1 for n in size):
        return None
    backbone, like = restorer.backbone, next(restorer.parameters())

    def residual(images: Tensor) -> Tensor:
        return backbone.predict_residual(images, torch.full((len(images),), t, device=like.device))

    if reach(residual, backbone.size_rule, like) is not None:
        return None
    return (
        f'{type(backbone.net).__name__} computes statistics over the whole image, in tiles of '
        f'{restorer.tile} pixels over each tile: the result differs from that of the whole image, '
        f'and brightness may vary between tiles. A larger tile reduces this'
    )
