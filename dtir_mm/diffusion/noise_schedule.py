"""Noise schedules and the forward process, with T = 50 steps by default.

Time steps t run from 1 to T as in the paper; arrays are indexed by t - 1. Images lie in [-1, 1].
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def _linear_scaled(num_steps: int) -> Tensor:
    """Betas of the linear schedule of DDPM, scaled so that fewer steps reach the same noise."""
    scale = 1000 / num_steps
    return torch.linspace(1e-4 * scale, 0.02 * scale, num_steps, dtype=torch.float64)


def _ddim_stride(num_steps: int) -> Tensor:
    """Betas between the steps 1000 / T, 2 * 1000 / T, ... 1000 of the linear schedule of DDPM.

    They follow from the ratio of neighbouring alpha_bar. This grid, rounded, is "trailing" spacing.
    """
    fine = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alphas_cumprod = (1 - fine).cumprod(0)
    steps = (torch.arange(1, num_steps + 1, dtype=torch.float64) * 1000 / num_steps).round()
    kept = alphas_cumprod[steps.long() - 1]
    return 1 - kept / torch.cat([kept.new_ones(1), kept[:-1]])


def _cosine(num_steps: int, offset: float = 0.008, max_beta: float = 0.999) -> Tensor:
    """Betas of the cosine schedule of improved DDPM (Nichol and Dhariwal, 2021)."""
    time = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    signal = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - signal[1:] / signal[:-1]).clamp(max=max_beta)


SCHEDULES: dict[str, Callable[[int], Tensor]] = {
    'linear_scaled': _linear_scaled,
    'ddim_stride': _ddim_stride,
    'cosine': _cosine,
}


class NoiseSchedule:
    """``x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise`` for t in 1..T.

    Args:
        name: "linear_scaled" (the default: method.md 1.1 tells why), "ddim_stride" or "cosine".
        num_steps: T.

    Raises:
        ValueError: the name is unknown, or T lies outside 1..1000 or is too small for it.
    """

    def __init__(self, name: str = 'linear_scaled', num_steps: int = 50) -> None:
        if name not in SCHEDULES:
            raise ValueError(f'noise schedule {name!r} must be one of {", ".join(SCHEDULES)}')
        if not 1 <= num_steps <= 1000:
            raise ValueError(f'num_steps={num_steps} must lie in 1..1000')
        self.name = name
        self.num_steps = num_steps
        self.betas = SCHEDULES[name](num_steps)
        if self.betas.max() >= 1:
            raise ValueError(f'num_steps={num_steps} is too few for {name}: beta_T would be >= 1')
        self.alphas_cumprod = (1 - self.betas).cumprod(0)

    def beta(self, t: Tensor) -> Tensor:
        """beta_t in float64, (B,), for time steps (B,) in 1..T."""
        return self.betas.to(t.device)[t - 1]

    def alpha_bar(self, t: Tensor) -> Tensor:
        """alpha_bar_t in float64, (B,), for time steps (B,) in 0..T; 1 at t = 0."""
        padded = torch.cat([self.alphas_cumprod.new_ones(1), self.alphas_cumprod])
        return padded.to(t.device)[t]

    def signal(self, t: Tensor) -> Tensor:
        """sqrt(alpha_bar_t), (B,), float64: how much of the clean image is left."""
        return self.alpha_bar(t).sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        """s_t = sqrt(1 - alpha_bar_t), (B,), float64: the noise level."""
        return (1 - self.alpha_bar(t)).sqrt()

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The forward process: x_t (B, 3, H, W) from x_0 and noise at time steps (B,)."""
        return like(self.signal(t), clean) * clean + like(self.sigma(t), clean) * noise

    def predict_clean(self, noisy: Tensor, noise: Tensor, t: Tensor, clip: bool = True) -> Tensor:
        """x_0 from x_t and its (predicted) noise, clipped to [-1, 1].

        Without the clip, errors grow by 1 / sqrt(alpha_bar_t), about 360 at t = T.
        """
        clean = (noisy - like(self.sigma(t), noisy) * noise) / like(self.signal(t), noisy)
        return clean.clamp(-1, 1) if clip else clean


def like(values: Tensor, images: Tensor) -> Tensor:
    """Values (B,) in the type of images (B, C, H, W), shaped to multiply them."""
    return values.to(images).reshape(-1, 1, 1, 1)
