"""SDEdit (Meng et al., 2022) with a pre-trained network: the rows "w/o GEF" of Tables 6 to 9."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dtir_mm.diffusion.sampling import ddim_denoise
from dtir_mm.randomness import seed_of

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

_DDIM_STEPS = 10


def sdedit(restorer: 'Restorer', degraded: Tensor, t: Tensor) -> Tensor:
    """Images (B, 3, H, W) diffused to their steps (B,) and back by DDIM in at most ten passes.

    All images of one size get the same noise.
    """
    rng = torch.Generator().manual_seed(seed_of(0, 'sdedit'))
    noise = torch.randn(degraded.shape[1:], generator=rng).to(degraded)
    schedule = restorer.schedule
    noisy = schedule.add_noise(degraded, noise.expand_as(degraded), t)
    restored = [
        ddim_denoise(schedule, restorer.predict_noise, image[None], int(step), _DDIM_STEPS)
        for image, step in zip(noisy, t, strict=True)
    ]
    return torch.cat(restored)
