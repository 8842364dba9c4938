"""Noisy images for the generative objectives, and their losses by time step."""

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule
from dtir_mm.models.objectives.objective import Losses, Objective, Samples
from dtir_mm.randomness import seed_of

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

_NUM_BINS = 5


def noisy_samples(schedule: NoiseSchedule, samples: Samples) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy images and their noise, (B, 3, H, W), and time steps (B,), uniform in 1..T.

    Noise and steps depend only on each sample's key and are drawn on the CPU, so that they are the
    same on every device and for any number of processes.
    """
    clean = samples['clean']
    noises, steps = [], []
    for key in samples['key'].tolist():
        rng = torch.Generator().manual_seed(seed_of(*key, 'noise'))
        steps.append(torch.randint(1, schedule.num_steps + 1, (), generator=rng))
        noises.append(torch.randn(clean.shape[1:], generator=rng, dtype=torch.float32))
    noise, t = torch.stack(noises).to(clean), torch.stack(steps).to(clean.device)
    return schedule.add_noise(clean, noise, t), noise, t


def bins(name: str, num_steps: int) -> dict[str, tuple[int, int]]:
    """Five ranges of time steps (first, last], by their names in logs."""
    edges = [round(i * num_steps / _NUM_BINS) for i in range(_NUM_BINS + 1)]
    return {
        f'{name}_t{low + 1:02d}-{high:02d}': (low, high)
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    }


class GenerativeObjective(Objective):
    """An objective on ground-truth images with noise, logged in five bins of time steps."""

    @abstractmethod
    def errors(
        self, restorer: 'Restorer', noisy: Tensor, noise: Tensor, t: Tensor, clean: Tensor
    ) -> Tensor:
        """The losses (B,) of ``noisy_samples`` of clean images (B, 3, H, W)."""

    def parts(self, restorer: 'Restorer') -> tuple[str, ...]:
        """The names of ``bins``."""
        return tuple(bins(self.name, restorer.schedule.num_steps))

    def losses(self, restorer: 'Restorer', samples: Samples) -> Losses:
        """See ``Objective``; the samples' keys seed noise and time steps."""
        noisy, noise, t = noisy_samples(restorer.schedule, samples)
        total = self.errors(restorer, noisy, noise, t, samples['clean'])
        ranges = bins(self.name, restorer.schedule.num_steps).items()
        parts = {name: total.detach()[(t > low) & (t <= high)] for name, (low, high) in ranges}
        return Losses(total, parts)

    @torch.no_grad()
    def val_losses(self, restorer: 'Restorer', batch: Samples) -> dict[str, list[float]]:
        """The loss of each clean image, cropped to a valid size."""
        part = {**batch, 'clean': restorer.crop_to_valid_size(batch['clean'])}
        return {f'val_{self.name}_loss': self.losses(restorer, part).total.tolist()}
