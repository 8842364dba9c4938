"""Reverse diffusion steps: DDPM (Alg. 2, line 8) and DDIM, for every schedule.

A schedule is a Gaussian Markov chain: from s = t - 1 to t, ``x_t = a x_s + sqrt(v) noise`` with
``a = signal_t / signal_s`` and ``v = sigma_t^2 - a^2 sigma_s^2`` (beta_t if variance-preserving),
which gives the posterior of x_s given x_t and x_0.

Alg. 2 prints the factor of the predicted noise as (1 - alpha_t) / sqrt(1 - alpha_t); the
denominator must be sqrt(1 - alpha_bar_t), as here.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule, like


def posterior_mean(schedule: NoiseSchedule, clean: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
    """The mean of q(x_{t-1} | x_t, x_0), (B, 3, H, W), at steps ``t`` (B,) in 1..T."""
    a, added = _transition(schedule, t)
    before, now = schedule.sigma(t - 1).square(), schedule.sigma(t).square()
    from_clean = schedule.signal(t - 1) * added / now
    from_noisy = a * before / now
    return like(from_clean, noisy) * clean + like(from_noisy, noisy) * noisy


def ddpm_step(
    schedule: NoiseSchedule, noisy: Tensor, noise: Tensor, t: Tensor, generator: torch.Generator
) -> Tensor:
    """Samples x_{t-1} from x_t and its predicted noise, with the posterior's variance.

    Args:
        schedule: the noise schedule.
        noisy: x_t, (B, 3, H, W).
        noise: predicted noise, same shape.
        t: time steps (B,) in 1..T; at t = 1 no noise is added.
        generator: CPU generator of the added noise, so that it is the same on every device.
    """
    mean = posterior_mean(schedule, schedule.predict_clean(noisy, noise, t), noisy, t)
    _, added = _transition(schedule, t)
    deviation = (added * (schedule.sigma(t - 1) / schedule.sigma(t)).square()).sqrt()
    fresh = torch.randn(noisy.shape, generator=generator, dtype=noisy.dtype).to(noisy.device)
    return mean + like(deviation, noisy) * fresh


def ddim_step(
    schedule: NoiseSchedule, noisy: Tensor, noise: Tensor, t: Tensor, t_next: Tensor
) -> Tensor:
    """From x_t to x at ``t_next`` < ``t`` (Song et al., 2021, Eq. 12 with sigma = 0).

    The noise is recomputed from the clipped x_0.

    Args:
        schedule: the noise schedule.
        noisy: x_t, (B, 3, H, W).
        noise: predicted noise, same shape.
        t: time steps (B,) in 1..T.
        t_next: earlier steps (B,) in 0..T-1; t = 0 is clean.
    """
    clean = schedule.predict_clean(noisy, noise, t)
    noise = (noisy - like(schedule.signal(t), noisy) * clean) / like(schedule.sigma(t), noisy)
    signal, sigma = schedule.signal(t_next), schedule.sigma(t_next)
    return like(signal, noisy) * clean + like(sigma, noisy) * noise


def ddim_denoise(
    schedule: NoiseSchedule,
    predict_noise: Callable[[Tensor, Tensor], Tensor],
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


def _transition(schedule: NoiseSchedule, t: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and variance (B,) of q(x_t | x_{t-1})."""
    a = schedule.signal(t) / schedule.signal(t - 1)
    return a, schedule.sigma(t).square() - (a * schedule.sigma(t - 1)).square()
