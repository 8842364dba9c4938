"""The generative objective of the released code: predicting the clean image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dtir_mm.diffusion.noise_schedule import like
from dtir_mm.models.objectives.noisy_samples import binned, bins, noisy_samples, val_loss
from dtir_mm.models.objectives.objective import Losses, Samples, train_restoration
from dtir_mm.models.objectives.pixel_losses import build_terms, sum_of
from dtir_mm.registry import MODELS

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer


@MODELS.register_module()
class Denoising:
    """The distance between ``x_t - sigma_t noise_hat`` and ``signal_t x_0``, L1 in that code.

    With a variance-exploding schedule and a residual head, it is that between ``x_t - f(x_t, t)``
    and the clean image.

    Args:
        losses: named configs of ``pixel_losses.py``; None for L1 alone.
    """

    name = 'denoising'

    def __init__(self, losses: Mapping[str, Any] | None = None) -> None:
        self.terms = build_terms(losses)

    def prepare(self, restorer: 'Restorer') -> None:
        """See ``Objective``."""
        train_restoration(restorer)

    def parts(self, restorer: 'Restorer') -> tuple[str, ...]:
        """The loss in five bins of time steps."""
        return tuple(bins(self.name, restorer.schedule.num_steps))

    def losses(self, restorer: 'Restorer', samples: Samples) -> Losses:
        """See ``Objective``; the samples' keys seed noise and time steps."""
        schedule = restorer.schedule
        noisy, _, t = noisy_samples(schedule, samples)
        restored = noisy - restorer.noise_in(noisy, t)
        clean = like(schedule.signal(t), noisy) * samples['clean']
        total = sum_of(self.terms, restored, clean)
        return Losses(total, binned(self.name, total.detach(), t, schedule.num_steps))

    def val_losses(self, restorer: 'Restorer', batch: Samples) -> dict[str, list[float]]:
        """The loss of each clean image, cropped; its key seeds the noise."""
        return val_loss(self, restorer, batch)
