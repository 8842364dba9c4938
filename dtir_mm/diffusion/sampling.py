"""Reverse diffusion steps: DDPM (Alg. 2, line 8) and DDIM.

Alg. 2 prints the factor of the predicted noise as (1 - alpha_t) / sqrt(1 - alpha_t); the
denominator must be sqrt(1 - alpha_bar_t), as here.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule, like

PredictNoise = Callable[[Tensor, Tensor], Tensor]


def posterior_mean(schedule: NoiseSchedule, clean: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
    """The mean of q(x_{t-1} | x_t, x_0), (B, 3, H, W), at steps ``t`` (B,)."""
    beta, alpha_bar, before = schedule.beta(t), schedule.alpha_bar(t), schedule.alpha_bar(t - 1)
    from_clean = before.sqrt() * beta / (1 - alpha_bar)
    from_noisy = (1 - beta).sqrt() * (1 - before) / (1 - alpha_bar)
    return like(from_clean, noisy) * clean + like(from_noisy, noisy) * noisy


def ddpm_step(
    schedule: NoiseSchedule,
    noisy: Tensor,
    noise: Tensor,
    t: Tensor,
    generator: torch.Generator,
    sigma: str = 'posterior',
    clip: bool = True,
) -> Tensor:
    """x_{t-1} from x_t and its predicted noise, with fresh noise except at t = 1.

    Args:
        schedule: the noise schedule.
        noisy: x_t, (B, 3, H, W).
        noise: predicted noise, same shape.
        t: time steps (B,) in 1..T.
        generator: of the CPU; gives the fresh noise, the same on every device.
        sigma: its variance: "posterior", beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t), or
            "beta", beta_t.
        clip: clip the predicted x_0 to [-1, 1].

    Raises:
        ValueError: ``sigma`` is neither.
    """
    if sigma not in ('posterior', 'beta'):
        raise ValueError(f'sigma={sigma!r} of ddpm_step must be "posterior" or "beta"')
    mean = posterior_mean(schedule, schedule.predict_clean(noisy, noise, t, clip), noisy, t)
    variance = schedule.beta(t)
    if sigma == 'posterior':
        variance = variance * (1 - schedule.alpha_bar(t - 1)) / (1 - schedule.alpha_bar(t))
    return mean + like(variance.sqrt() * (t > 1), noisy) * _fresh_noise(noisy, generator)


def ddim_step(
    schedule: NoiseSchedule,
    noisy: Tensor,
    noise: Tensor,
    t: Tensor,
    t_next: Tensor,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    clip: bool = True,
) -> Tensor:
    """x at ``t_next`` < ``t``, the clean image where that is 0 (Song et al., 2021, Eq. 12 and 16).

    Args:
        schedule: the noise schedule.
        noisy: x_t, (B, 3, H, W).
        noise: predicted noise, same shape.
        t: time steps (B,) in 1..T.
        t_next: earlier steps (B,) in 0..T-1.
        eta: 0 for no fresh noise, 1 for as much as DDPM adds.
        generator: of the CPU; gives the fresh noise where eta > 0.
        clip: clip the predicted x_0 to [-1, 1], and take the noise anew from it, so that both stay
            consistent.

    Raises:
        ValueError: eta > 0 without a generator.
    """
    if eta > 0 and generator is None:
        raise ValueError(f'eta={eta} of ddim_step adds fresh noise and needs a generator')
    clean = schedule.predict_clean(noisy, noise, t, clip)
    if clip:
        noise = (noisy - like(schedule.signal(t), noisy) * clean) / like(schedule.sigma(t), noisy)
    now, after = schedule.alpha_bar(t), schedule.alpha_bar(t_next)
    variance = eta**2 * (1 - after) / (1 - now) * (1 - now / after)
    kept = like((1 - after - variance).clamp(min=0).sqrt(), noisy)
    mean = like(after.sqrt(), noisy) * clean + kept * noise
    if eta == 0:
        return mean
    return mean + like(variance.sqrt(), noisy) * _fresh_noise(noisy, generator)


def ddim_denoise(
    schedule: NoiseSchedule,
    predict_noise: PredictNoise,
    noisy: Tensor,
    t_start: int,
    num_steps: int,
) -> Tensor:
    """The clean image from x at ``t_start`` in at most ``num_steps`` evenly spaced DDIM steps."""
    count = min(num_steps, t_start)
    steps = [round(t_start * (count - i) / count) for i in range(count + 1)]
    for now, after in zip(steps[:-1], steps[1:], strict=True):
        t, t_next = (torch.full((len(noisy),), s, device=noisy.device) for s in (now, after))
        noisy = ddim_step(schedule, noisy, predict_noise(noisy, t), t, t_next)
    return noisy


def _fresh_noise(images: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images.device)
