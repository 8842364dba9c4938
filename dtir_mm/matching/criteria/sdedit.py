"""The criterion of SDEdit: diffuse the degraded image to t, and denoise it (section 2.1)."""

import torch
from torch import Tensor

from dtir_mm.diffusion.sampling import ddim_denoise
from dtir_mm.matching.criteria.criterion import Criterion, ErrorsAt, PretrainedNetwork
from dtir_mm.matching.pairs import noise_like, restoration_errors, steps_like
from dtir_mm.registry import CRITERIA

_DDIM_STEPS = 10


@CRITERIA.register_module(name='sdedit')
class SDEdit(Criterion):
    """How close the image, diffused to t and denoised by DDIM, comes to the ground truth.

    All time steps use the same noise. min(t, 10) network evaluations per image and time step.
    """

    def errors_at(
        self, network: PretrainedNetwork, degraded: Tensor, clean: Tensor, seed: int
    ) -> ErrorsAt:
        """See ``Criterion``."""
        noise = noise_like(degraded, torch.Generator().manual_seed(seed))

        def restore(y: Tensor, t: int, noise: Tensor) -> Tensor:
            noisy = network.schedule.add_noise(y, noise, steps_like(y, t))
            return ddim_denoise(network.schedule, network.predict_noise, noisy, t, _DDIM_STEPS)

        return lambda t: restoration_errors(restore, degraded, clean, t, noise)
