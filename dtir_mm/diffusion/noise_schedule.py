"""Noise schedules and their forward process ``x_t = signal_t x_0 + sigma_t noise``.

Time steps t run from 1 to T as in the paper, and t = 0 is the clean image. The paper states a
variance-preserving process, the authors' released code uses a variance-exploding one; both are
Gaussian Markov chains, so that ``sampling.py`` works for both.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


class NoiseSchedule:
    """Base of both schedules: the forward process, given its two tables.

    Args:
        signal: factor of the clean image at t = 0..T, (T + 1,), float64; 1 at t = 0.
        sigma: noise level in image units, (T + 1,), float64; 0 at t = 0.
        image_range: the lowest and the highest value of an image.

    Raises:
        ValueError: the image range is empty.
    """

    def __init__(self, signal: Tensor, sigma: Tensor, image_range: tuple[float, float]) -> None:
        low, high = image_range
        if not low < high:
            raise ValueError(f'image_range={image_range} must be (low, high) with low < high')
        self.num_steps = len(signal) - 1
        self.image_range = (float(low), float(high))
        self._signal = signal
        self._sigma = sigma

    def signal(self, t: Tensor) -> Tensor:
        """The factor of the clean image, (B,), float64, at time steps (B,) in 0..T."""
        return self._signal.to(t.device)[t]

    def sigma(self, t: Tensor) -> Tensor:
        """The noise level in image units, (B,), float64, at time steps (B,) in 0..T."""
        return self._sigma.to(t.device)[t]

    def snr(self, t: Tensor) -> Tensor:
        """The signal-to-noise ratio ``signal^2 / sigma^2``, (B,), float64; infinite at t = 0."""
        return (self.signal(t) / self.sigma(t)).square()

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The forward process: x_t (B, 3, H, W) from x_0 and standard noise at time steps (B,)."""
        return like(self.signal(t), clean) * clean + like(self.sigma(t), clean) * noise

    def predict_clean(self, noisy: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_0 from x_t and its (predicted) noise, clipped to the image range.

        Without clipping, errors grow by sigma_t / signal_t: about 360 at t = T of the
        variance-preserving schedule.
        """
        clean = (noisy - like(self.sigma(t), noisy) * noise) / like(self.signal(t), noisy)
        return clean.clamp(*self.image_range)

    @property
    def config(self) -> dict[str, Any]:
        """The config from which ``build_schedule`` builds the same schedule."""
        arguments = {name: getattr(self, name) for name in _arguments_of(type(self))}
        return {'type': type(self).__name__, **arguments}


class VariancePreserving(NoiseSchedule):
    """``x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise`` (Eq. 1 and 2 of the paper).

    Args:
        name: betas: "linear_scaled", "ddim_stride" or "cosine" (``BETAS``).
        num_steps: T.
        image_range: the lowest and the highest value of an image.

    Raises:
        ValueError: an unknown name, T outside 1..1000 or too small, or an empty image range.
    """

    def __init__(
        self,
        name: str = 'linear_scaled',
        num_steps: int = 50,
        image_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        if name not in BETAS:
            raise ValueError(f'noise schedule {name!r} must be one of {", ".join(BETAS)}')
        _require_steps(num_steps)
        betas = BETAS[name](num_steps)
        if betas.max() >= 1:
            raise ValueError(f'num_steps={num_steps} is too few for {name}: beta_T would be >= 1')
        alpha_bar = torch.cat([betas.new_ones(1), (1 - betas).cumprod(0)])
        super().__init__(alpha_bar.sqrt(), (1 - alpha_bar).sqrt(), image_range)
        self.name = name


class VarianceExploding(NoiseSchedule):
    """``x_t = x_0 + sigma_t noise``: the process of the authors' released code.

    With ``theta = linspace(1e-4, 2e-2, T + 1) 1000 / (T + 1)``, ``c = cumsum(theta) - theta_0`` and
    ``d = -ln(0.005) / c_T``, it is ``sigma_t = sigma_max sqrt(1 - exp(-2 c_t d))``: the noise of a
    mean-reverting process (IR-SDE) that keeps exp(-c_T d) = 0.005 of its start at T. The released
    code computes it in float32, here it is float64: the relative difference is at most 1.3e-6.

    Args:
        sigma_max: limit of the noise level, in levels of an 8-bit image.
        num_steps: T.
        image_range: the lowest and the highest value of an image.

    Raises:
        ValueError: ``sigma_max`` is not positive, T is outside 1..1000, or the range is empty.
    """

    def __init__(
        self,
        sigma_max: float = 10.0,
        num_steps: int = 50,
        image_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if not sigma_max > 0:
            raise ValueError(f'sigma_max={sigma_max} must be above 0, in levels of 0..255')
        _require_steps(num_steps)
        count = num_steps + 1
        theta = torch.linspace(1e-4, 2e-2, count, dtype=torch.float64) * (1000 / count)
        elapsed = theta.cumsum(0) - theta[0]
        forgotten = -torch.expm1(2 * math.log(0.005) * elapsed / elapsed[-1])
        largest = sigma_max / 255 * (image_range[1] - image_range[0])
        super().__init__(torch.ones_like(theta), largest * forgotten.sqrt(), image_range)
        self.sigma_max = sigma_max


SCHEDULES: dict[str, type[NoiseSchedule]] = {
    'VariancePreserving': VariancePreserving,
    'VarianceExploding': VarianceExploding,
}


def build_schedule(
    config: Mapping[str, Any] | None, image_range: tuple[float, float]
) -> NoiseSchedule:
    """Builds a schedule from its config.

    Args:
        config: "type", a name in ``SCHEDULES`` (default "VariancePreserving"), and arguments of
            that class other than ``image_range``; None for the defaults.
        image_range: of the images that the network gets.

    Raises:
        ValueError: the type or a key is unknown, or a value is invalid.
    """
    arguments = dict(config or {})
    kind = arguments.pop('type', 'VariancePreserving')
    if kind not in SCHEDULES:
        raise ValueError(f'type {kind!r} of a schedule must be one of {", ".join(SCHEDULES)}')
    accepted = _arguments_of(SCHEDULES[kind])
    for key in arguments:
        if key not in accepted:
            raise ValueError(f'unknown key {key!r} of {kind}: it takes {", ".join(accepted)}')
    return SCHEDULES[kind](**arguments, image_range=image_range)


def like(values: Tensor, images: Tensor) -> Tensor:
    """Values (B,) as (B, 1, 1, 1), in the dtype and on the device of images (B, C, H, W)."""
    return values.to(images).reshape(-1, 1, 1, 1)


def _arguments_of(kind: type[NoiseSchedule]) -> list[str]:
    return [name for name in inspect.signature(kind).parameters if name != 'image_range']


def _require_steps(num_steps: int) -> None:
    if not 1 <= num_steps <= 1000:
        raise ValueError(f'num_steps={num_steps} must lie in 1..1000')


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


def _cosine(num_steps: int) -> Tensor:
    """Betas of the cosine schedule of improved DDPM (Nichol and Dhariwal, 2021)."""
    time = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    signal = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - signal[1:] / signal[:-1]).clamp(max=0.999)


BETAS: dict[str, Callable[[int], Tensor]] = {
    'linear_scaled': _linear_scaled,
    'ddim_stride': _ddim_stride,
    'cosine': _cosine,
}
