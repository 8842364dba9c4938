"""The generative objective of the preprint: predicting the noise (Eq. 11 and 13, Alg. 1)."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule
from dtir_mm.models.objectives.noisy_samples import GenerativeObjective
from dtir_mm.registry import MODELS

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

_SNR_CAP = 5.0


@MODELS.register_module()
class NoisePrediction(GenerativeObjective):
    """``L_g = E gamma_t mean(|noise - predicted| ** p)`` on noisy clean images.

    Args:
        norm: "mse" (Eq. 11, p = 2) or "l1" (Eq. 13 as printed, p = 1).
        gamma: weight of a time step: "constant" (1) or "min_snr", min(SNR_t, 5) / SNR_t, the
            weights of Hang et al. (2023) for noise prediction.

    Raises:
        ValueError: ``norm`` or ``gamma`` is unknown.
    """

    name = 'noise'

    def __init__(self, norm: str = 'mse', gamma: str = 'constant') -> None:
        if norm not in ('mse', 'l1'):
            raise ValueError(f'norm={norm!r} of NoisePrediction must be "mse" or "l1"')
        if gamma not in ('constant', 'min_snr'):
            raise ValueError(f'gamma={gamma!r} of NoisePrediction must be "constant" or "min_snr"')
        self.norm = norm
        self.gamma = gamma

    def errors(
        self, restorer: 'Restorer', noisy: Tensor, noise: Tensor, t: Tensor, clean: Tensor
    ) -> Tensor:
        """See ``GenerativeObjective``."""
        return self.error(restorer.predict_noise(noisy, t), noise, t, restorer.schedule)

    def error(self, predicted: Tensor, noise: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
        """The losses (B,) of predictions of noise (B, 3, H, W) at steps ``t`` (B,)."""
        error = predicted - noise
        error = error.square() if self.norm == 'mse' else error.abs()
        losses = error.mean(dim=(1, 2, 3))
        if self.gamma == 'constant':
            return losses
        snr = schedule.snr(t)
        return losses * (torch.clamp(snr, max=_SNR_CAP) / snr).to(losses)
