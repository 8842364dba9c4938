"""Networks whose predictions are known in closed form, and pairs for them."""

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule, VarianceExploding, VariancePreserving

PRESERVING = VariancePreserving()
EXPLODING = VarianceExploding()


class Network:
    """Predicts ``predict(u, t)`` as the noise and has ``read(u, t)`` as features."""

    def __init__(self, predict, read=lambda u, t: u, schedule: NoiseSchedule = PRESERVING) -> None:
        self.predict = predict
        self.read = read
        self.schedule = schedule
        self.calls: list[tuple[Tensor, int]] = []

    @property
    def evaluations(self) -> int:
        return sum(len(u) for u, _ in self.calls)

    def predict_noise(self, u: Tensor, t: Tensor) -> Tensor:
        (step,) = t.unique().tolist()
        assert t.shape == (len(u),)
        self.calls.append((u, step))
        return self.predict(u, step)

    def residual_and_features(self, u: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.predict_noise(u, t), self.read(u, int(t[0]))


def levels(schedule: NoiseSchedule, t: int) -> tuple[float, float]:
    """signal_t and sigma_t."""
    return schedule.signal(torch.tensor(t)).item(), schedule.sigma(torch.tensor(t)).item()


def gaussian_network(schedule: NoiseSchedule = PRESERVING, tau: float = 0.5) -> Network:
    """E[noise | x_t] for images of independent pixels from N(0, tau^2)."""

    def predict(u: Tensor, t: int) -> Tensor:
        signal, sigma = levels(schedule, t)
        return u * sigma / ((signal * tau) ** 2 + sigma**2)

    return Network(predict, lambda u, t: torch.cat([u, (u * t).sin()], dim=1), schedule)


def knows_image(image: float | Tensor, schedule: NoiseSchedule = PRESERVING) -> Network:
    """Explains every x_t as this image and noise."""

    def predict(u: Tensor, t: int) -> Tensor:
        signal, sigma = levels(schedule, t)
        return (u - signal * image) / sigma

    return Network(predict, schedule=schedule)


def noisy_pairs(sigma: float, count: int = 16, size: int = 16) -> tuple[Tensor, Tensor]:
    """Pixels from N(0, 0.5^2), degraded by noise of standard deviation ``sigma``."""
    clean, noise = torch.randn(2, count, 3, size, size, dtype=torch.float64)
    return 0.5 * clean + sigma * noise, 0.5 * clean


def constant_pairs(degraded: float, clean: float, count: int = 5) -> tuple[Tensor, Tensor]:
    shape = (count, 3, 4, 4)
    return tuple(torch.full(shape, v, dtype=torch.float64) for v in (degraded, clean))
