"""Restores images with a trained restorer."""

import numpy as np
import torch
from torch import Tensor

from dtir_mm.models.preprocessor import to_uint8
from dtir_mm.models.restorers.restorer import Restorer


def require_step(restorer: Restorer, t: int | None) -> None:
    """Raises ValueError if a time step is given and is not in 1..T."""
    if t is not None and not 1 <= t <= restorer.schedule.num_steps:
        raise ValueError(f't={t} must lie in 1..{restorer.schedule.num_steps}')


def restore(restorer: Restorer, image: np.ndarray, t: int | None) -> np.ndarray:
    """One image, RGB uint8 (H, W, 3) of any size, restored in one pass.

    Args:
        restorer: see ``load_restorer``.
        image: the degraded image.
        t: time step; None for the one that the restorer chooses by its ``inference``.

    Raises:
        ValueError: ``t`` is not in 1..T.
    """
    require_step(restorer, t)
    device = next(restorer.parameters()).device
    height, width = image.shape[:2]

    def part(top: int, bottom: int, left: int, right: int) -> Tensor:
        pixels = torch.from_numpy(image[top:bottom, left:right]).to(device)
        return restorer.from_uint8(pixels.permute(2, 0, 1)[None])

    if t is None:
        steps = restorer.find_steps(part(0, height, 0, width))
        if int(steps) == 0:  # predicted to be clean
            return image.copy()
    else:
        steps = torch.tensor([t], device=device)
    restored, top = np.empty_like(image), 0
    # A few rows at a time: the whole image in floating point takes much more memory.
    for rows in restorer.restored_rows(part, (height, width), steps):
        restored[top : top + rows.shape[-2]] = to_uint8(rows)[0]
        top += rows.shape[-2]
    return restored
