"""Choosing t for an unknown degradation by the network's own noise prediction.

Noise is easiest to predict in a clean image: the restoration with the smallest error is chosen.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

_NOISE_STEPS = (3, 6)  # low noise, which does not hide remaining degradations


@torch.no_grad()
def most_consistent(restorer: 'Restorer', degraded: Tensor, steps: list[int]) -> list[int]:
    """The best of ``steps`` for each image (B, 3, H, W) in the model's range.

    It costs a restoration and two noise predictions per step.
    """
    scores = []
    for step in steps:
        t = torch.full((len(degraded),), step, device=degraded.device)
        restored = restorer.image_range.from_unit_range(restorer.restore_images(degraded, t))
        scores.append(generative_inconsistency(restorer, restored))
    return [steps[i] for i in torch.stack(scores).argmin(0)]


@torch.no_grad()
def generative_inconsistency(restorer: 'Restorer', image: Tensor) -> Tensor:
    """``J = mean_t ||noise - f(sqrt(alpha_bar_t) x + s_t noise, t)||^2`` (B,), without adapters.

    The noise is the same for every image and call, so that the errors are comparable.
    """
    image = restorer.crop_to_valid_size(image)
    rng = torch.Generator().manual_seed(0)
    errors = []
    for step in _NOISE_STEPS:
        noise = torch.randn(image.shape[1:], generator=rng, dtype=torch.float32)
        noise = noise.to(image).expand_as(image)
        t = torch.full((len(image),), step, device=image.device)
        noisy = restorer.schedule.add_noise(image, noise, t)
        predicted = restorer.predict_noise(noisy, t)
        errors.append((predicted - noise).square().mean((1, 2, 3)))
    return torch.stack(errors).mean(0)
