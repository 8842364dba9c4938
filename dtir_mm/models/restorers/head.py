"""Heads: how to interpret a network's output f(u, t), one for each of the two recipes.

In both, f is a residual, and a restored image is ``x_hat = y - c(t) f(y, t)``; they differ in the
scale of f during generation.
"""

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule, like
from dtir_mm.registry import MODELS

RESIDUAL_SCALES = ('one', 'sigma', 'sigma_floor')
_SIGMA_FLOOR = 0.25


@MODELS.register_module()
class NoiseHead:
    """The preprint's head: f is the noise in an image, at unit variance.

    Args:
        residual_scale: c(t) for restoration: "one" (for networks with restoration weights, so that
            x_hat = net(y) at initialisation), "sigma" (the noise level s_t), or "sigma_floor",
            max(s_t, 0.25): with s_t, f would have to grow by a factor of 22 at t = 1.

    Raises:
        ValueError: the scale is unknown.
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
        """The noise at unit variance, from an output (B, 3, H, W)."""
        return output

    def noise_in(self, schedule: NoiseSchedule, output: Tensor, t: Tensor) -> Tensor:
        """The noise at its level in x_t, from an output (B, 3, H, W)."""
        return like(schedule.sigma(t), output) * output


@MODELS.register_module()
class ResidualHead:
    """The released code's head: f is the noise at its actual level, sigma_t; c(t) = 1."""

    def scale(self, schedule: NoiseSchedule, t: Tensor) -> Tensor:
        """c(t) = 1, (B,), at steps ``t`` (B,)."""
        return torch.ones_like(t, dtype=torch.float32)

    def noise(self, schedule: NoiseSchedule, output: Tensor, t: Tensor) -> Tensor:
        """The noise at unit variance, from an output (B, 3, H, W)."""
        return output / like(schedule.sigma(t), output)

    def noise_in(self, schedule: NoiseSchedule, output: Tensor, t: Tensor) -> Tensor:
        """The noise at its level in x_t, from an output (B, 3, H, W)."""
        return output
