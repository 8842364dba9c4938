"""Stage 1, TMGP: the network learns to predict the noise in noisy clean images (Eq. 11, Alg. 1)."""

from typing import Any

import torch
from torch import Tensor

from dtir_mm.models.restorers.base_restorer import BaseRestorer
from dtir_mm.models.restorers.gradients import sum_over_processes
from dtir_mm.registry import MODELS

_NUM_BINS = 5


@MODELS.register_module()
class GenerativePretrainer(BaseRestorer):
    """``L_g = E gamma_t ||noise - f(sqrt(alpha_bar_t) x + sqrt(1 - alpha_bar_t) noise, t)||^2``.

    Args:
        noise_loss: config of the noise prediction loss; None for the mean squared error.
        kwargs: see ``BaseRestorer``.
    """

    def __init__(self, noise_loss: dict | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.noise_loss = MODELS.build(noise_loss or {'type': 'NoisePredictionLoss'})

    def noise_losses(self, batch: dict[str, Any]) -> Tensor:
        """Per-sample L_g, (B,), at the time steps and noise of the samples' keys."""
        return self._noise_losses(batch)[0]

    def _noise_losses(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        noise, t = self.draw_noise(batch)
        noisy = self.schedule.add_noise(batch['clean'], noise, t)
        return self.noise_loss(self.nuisance(noisy, t, adapted=False), noise, t, self.schedule), t

    def compute_gradient(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``BaseRestorer``; logs L_g, and L_g in five bins of time steps."""
        steps: list[Tensor] = []

        def loss_of(samples: dict[str, Any]) -> Tensor:
            losses, t = self._noise_losses(samples)
            steps.append(t)
            return losses

        gradient, losses = self.accumulate(batch, loss_of, self.global_batch(batch))
        t = torch.cat(steps)
        binned = {
            f'noise_t{low + 1:02d}-{high:02d}': losses[(t > low) & (t <= high)]
            for low, high in _bins(self.schedule.num_steps)
        }
        self.show_gradient(sum_over_processes(gradient))
        return gradient, {'noise': losses, **binned}

    def val_step(self, data: dict[str, Any]) -> list[dict[str, float]]:
        """L_g of each image of a held-out set; see ``held_out_noise``."""
        losses = self.held_out_noise(self.data_preprocessor(data))
        return [{'held_out_noise': loss} for loss in losses]

    @torch.no_grad()
    def held_out_noise(self, batch: dict[str, Any]) -> list[float]:
        """L_g of each clean image, or of a part of it; the noise depends on its key alone."""
        return self.noise_losses({**batch, 'clean': self.part_for_noise(batch['clean'])}).tolist()

    def part_for_noise(self, images: Tensor) -> Tensor:
        """The upper left part of (B, 3, H, W) on which the noise is predicted in validation.

        It has a size of the backbone's, the largest that fits into the image and a tile.
        """
        rule = self.backbone.size_rule
        limit = max(images.shape[-2:])
        if self.tile is not None:
            limit = max(self.tile, *rule.enclosing(1, 1))  # tiles are padded, this is not
        height, width = rule.inside(*(min(side, limit) for side in images.shape[-2:]))
        return images[..., :height, :width]


def _bins(num_steps: int) -> list[tuple[int, int]]:
    edges = [round(i * num_steps / _NUM_BINS) for i in range(_NUM_BINS + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))
