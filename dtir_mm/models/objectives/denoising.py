"""The generative objective of the released code: predicting the clean image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dtir_mm.diffusion.noise_schedule import like
from dtir_mm.models.objectives.noisy_samples import GenerativeObjective
from dtir_mm.models.objectives.pixel_losses import build_terms, sum_of
from dtir_mm.registry import MODELS

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer


@MODELS.register_module()
class Denoising(GenerativeObjective):
    """The distance between ``x_t - sigma_t noise_hat`` and ``signal_t x_0``, L1 in that code.

    With a variance-exploding schedule and a residual head, these are ``x_t - f(x_t, t)`` and the
    clean image.

    Args:
        losses: named configs of ``pixel_losses.py``; None for only L1.
    """

    name = 'denoising'

    def __init__(self, losses: Mapping[str, Any] | None = None) -> None:
        self.terms = build_terms(losses)

    def errors(
        self, restorer: 'Restorer', noisy: Tensor, noise: Tensor, t: Tensor, clean: Tensor
    ) -> Tensor:
        """See ``GenerativeObjective``."""
        restored = noisy - restorer.noise_in(noisy, t)
        return sum_of(self.terms, restored, like(restorer.schedule.signal(t), noisy) * clean)
