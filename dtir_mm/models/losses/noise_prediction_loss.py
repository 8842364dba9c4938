"""The generative loss of pre-training, Eq. 11 and 13."""

import torch
from torch import Tensor, nn

from dtir_mm.diffusion.noise_schedule import NoiseSchedule
from dtir_mm.registry import MODELS


@MODELS.register_module()
class NoisePredictionLoss(nn.Module):
    """``gamma_t * mean(|noise - predicted| ** p)`` of each image.

    Args:
        norm: "mse" (Eq. 11, p = 2) or "l1" (Eq. 13 as printed, p = 1).
        gamma: weight of a time step: "constant" (1) or "min_snr", min(SNR_t, cap) / SNR_t, the
            weights of Hang et al. (2023) for noise prediction.
        snr_cap: the cap of "min_snr".

    Raises:
        ValueError: ``norm`` or ``gamma`` is none of these.
    """

    def __init__(self, norm: str = 'mse', gamma: str = 'constant', snr_cap: float = 5.0) -> None:
        super().__init__()
        if norm not in ('mse', 'l1'):
            raise ValueError(f'norm={norm!r} of NoisePredictionLoss must be "mse" or "l1"')
        if gamma not in ('constant', 'min_snr'):
            raise ValueError(
                f'gamma={gamma!r} of NoisePredictionLoss must be "constant" or "min_snr"'
            )
        self.norm = norm
        self.gamma = gamma
        self.snr_cap = snr_cap

    def forward(
        self, predicted: Tensor, noise: Tensor, t: Tensor, schedule: NoiseSchedule
    ) -> Tensor:
        """Noise and its prediction (B, 3, H, W) at steps ``t`` (B,) to per-sample losses (B,)."""
        error = predicted - noise
        error = error.square() if self.norm == 'mse' else error.abs()
        losses = error.mean(dim=(1, 2, 3))
        if self.gamma == 'constant':
            return losses
        alpha_bar = schedule.alpha_bar(t)
        snr = alpha_bar / (1 - alpha_bar)
        return losses * (torch.clamp(snr, max=self.snr_cap) / snr).to(losses)
