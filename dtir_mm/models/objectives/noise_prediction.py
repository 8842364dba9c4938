"""The generative objective of the preprint: predicting the noise (Eq. 11 and 13, Alg. 1)."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule
from dtir_mm.models.objectives.noisy_samples import binned, bins, noisy_samples, val_loss
from dtir_mm.models.objectives.objective import Losses, Samples, train_restoration
from dtir_mm.registry import MODELS

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

_SNR_CAP = 5.0


@MODELS.register_module()
class NoisePrediction:
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

    def prepare(self, restorer: 'Restorer') -> None:
        """See ``Objective``."""
        train_restoration(restorer)

    def parts(self, restorer: 'Restorer') -> tuple[str, ...]:
        """L_g in five bins of time steps."""
        return tuple(bins(self.name, restorer.schedule.num_steps))

    def losses(self, restorer: 'Restorer', samples: Samples) -> Losses:
        """See ``Objective``; the samples' keys seed noise and time steps."""
        noisy, noise, t = noisy_samples(restorer.schedule, samples)
        predicted = restorer.predict_noise(noisy, t)
        total = self.error(predicted, noise, t, restorer.schedule)
        return Losses(total, binned(self.name, total.detach(), t, restorer.schedule.num_steps))

    def error(self, predicted: Tensor, noise: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
        """The losses (B,) of predictions of noise (B, 3, H, W) at steps ``t`` (B,)."""
        error = predicted - noise
        error = error.square() if self.norm == 'mse' else error.abs()
        losses = error.mean(dim=(1, 2, 3))
        if self.gamma == 'constant':
            return losses
        snr = schedule.snr(t)
        return losses * (torch.clamp(snr, max=_SNR_CAP) / snr).to(losses)

    def val_losses(self, restorer: 'Restorer', batch: Samples) -> dict[str, list[float]]:
        """L_g of each clean image, cropped; its key seeds the noise."""
        return val_loss(self, restorer, batch)
