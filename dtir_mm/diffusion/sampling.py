"""Reverse diffusion steps: DDPM (Alg. 2, line 8) and DDIM, for every schedule.

A schedule is a Gaussian Markov chain, determined by its signal and sigma: between the steps s < t,
it is ``x_t = a x_s + sqrt(v) noise`` with ``a = signal_t / signal_s`` and
``v = sigma_t^2 - a^2 sigma_s^2``, which gives the posterior of x_s under x_t and x_0. For
s = t - 1 in a variance-preserving schedule, v is beta_t.

Alg. 2 prints the factor of the predicted noise as (1 - alpha_t) / sqrt(1 - alpha_t); the
denominator must be sqrt(1 - alpha_bar_t), as here.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule, like

PredictNoise = Callable[[Tensor, Tensor], Tensor]


def posterior_mean(schedule: NoiseSchedule, clean: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
    """The mean of q(x_{t-1} | x_t, x_0), (B, 3, H, W), at steps ``t`` (B,) in 1..T."""
    a, added = _transition(schedule, t, t - 1)
    before, now = schedule.sigma(t - 1).square(), schedule.sigma(t).square()
    from_clean = schedule.signal(t - 1) * added / now
    from_noisy = a * before / now
    return like(from_clean, noisy) * clean + like(from_noisy, noisy) * noisy


def posterior_variance(schedule: NoiseSchedule, t: Tensor, earlier: Tensor) -> Tensor:
    """The variance of q(x_s | x_t, x_0), (B,), float64, at steps s = ``earlier`` < ``t`` (B,)."""
    _, added = _transition(schedule, t, earlier)
    return added * (schedule.sigma(earlier) / schedule.sigma(t)).square()


def ddpm_step(
    schedule: NoiseSchedule,
    noisy: Tensor,
    noise: Tensor,
    t: Tensor,
    generator: torch.Generator,
    clip: bool = True,
) -> Tensor:
    """Samples x_{t-1} from x_t and its predicted noise, with the posterior's variance.

    Args:
        schedule: the noise schedule.
        noisy: x_t, (B, 3, H, W).
        noise: predicted noise, same shape.
        t: time steps (B,) in 1..T; at t = 1 no noise is added.
        generator: CPU generator of the fresh noise, so that it is the same on every device.
        clip: clip the predicted x_0 to the image range.
    """
    mean = posterior_mean(schedule, schedule.predict_clean(noisy, noise, t, clip), noisy, t)
    deviation = posterior_variance(schedule, t, t - 1).sqrt()
    return mean + like(deviation, noisy) * _fresh_noise(noisy, generator)


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
    """From x_t to x at ``t_next`` < ``t`` (Song et al., 2021, Eq. 12 and 16); t = 0 is clean.

    Args:
        schedule: the noise schedule.
        noisy: x_t, (B, 3, H, W).
        noise: predicted noise, same shape.
        t: time steps (B,) in 1..T.
        t_next: earlier steps (B,) in 0..T-1.
        eta: 0 for no fresh noise, 1 for as much as DDPM adds.
        generator: CPU generator of the fresh noise; needed if eta > 0.
        clip: clip the predicted x_0 to the image range, and recompute the noise from it.

    Raises:
        ValueError: eta > 0 without a generator.
    """
    if eta > 0 and generator is None:
        raise ValueError(f'eta={eta} of ddim_step adds fresh noise and needs a generator')
    clean = schedule.predict_clean(noisy, noise, t, clip)
    if clip:
        noise = (noisy - like(schedule.signal(t), noisy) * clean) / like(schedule.sigma(t), noisy)
    variance = eta**2 * posterior_variance(schedule, t, t_next)
    kept = (schedule.sigma(t_next).square() - variance).clamp(min=0).sqrt()
    mean = like(schedule.signal(t_next), noisy) * clean + like(kept, noisy) * noise
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


def _transition(schedule: NoiseSchedule, t: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and variance (B,) of q(x_t | x_s) at s = ``earlier`` < ``t``."""
    a = schedule.signal(t) / schedule.signal(earlier)
    return a, schedule.sigma(t).square() - (a * schedule.sigma(earlier)).square()


def _fresh_noise(images: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images.device)
