"""What a network's output f(u, t) means: the head convention, one for each of the two recipes.

In both, f is what is wrong with the network's input, and a restored image is
``x_hat = y - c(t) f(y, t)``; they differ in what f is while the network generates.
"""

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule, like
from dtir_mm.registry import MODELS

RESIDUAL_SCALES = ('one', 'sigma', 'sigma_floor')
_SIGMA_FLOOR = 0.25


@MODELS.register_module()
class NoiseHead:
    """The preprint's: f is the noise, of variance one, in a noisy image.

    Args:
        residual_scale: c(t) while restoring: "one" (networks that start from restoration weights,
            so that x_hat = net(y) at initialisation), "sigma" (the noise level s_t), or
            "sigma_floor", max(s_t, 0.25), since at small t the residual is small beside the noise
            that f has learnt to give, and at t = 1 it would have to grow by 22.

    Raises:
        ValueError: there is no such scale.
    """

    def __init__(self, residual_scale: str = 'sigma_floor') -> None:
        if residual_scale not in RESIDUAL_SCALES:
            raise ValueError(f'residual_scale={residual_scale!r} must be one of {RESIDUAL_SCALES}')
        self.residual_scale = residual_scale

    def scale(self, schedule: NoiseSchedule, t: Tensor) -> Tensor:
        """c(t), (B,), at steps ``t`` (B,)."""
        if self.residual_scale == 'one':
            return torch.ones_like(t, dtype=torch.float32)
        sigma = schedule.sigma(t)
        return sigma if self.residual_scale == 'sigma' else sigma.clamp(min=_SIGMA_FLOOR)

    def noise(self, schedule: NoiseSchedule, output: Tensor, t: Tensor) -> Tensor:
        """The noise of variance one that an output (B, 3, H, W) stands for."""
        return output

    def noise_in(self, schedule: NoiseSchedule, output: Tensor, t: Tensor) -> Tensor:
        """The same at its strength in x_t."""
        return like(schedule.sigma(t), output) * output


@MODELS.register_module()
class ResidualHead:
    """The released code's: f is the noise at its own strength, as a degradation is; c(t) = 1."""

    def scale(self, schedule: NoiseSchedule, t: Tensor) -> Tensor:
        """c(t) = 1, (B,), at steps ``t`` (B,)."""
        return torch.ones_like(t, dtype=torch.float32)

    def noise(self, schedule: NoiseSchedule, output: Tensor, t: Tensor) -> Tensor:
        """The noise of variance one that an output (B, 3, H, W) stands for."""
        return output / like(schedule.sigma(t), output)

    def noise_in(self, schedule: NoiseSchedule, output: Tensor, t: Tensor) -> Tensor:
        """The same at its strength in x_t."""
        return output
