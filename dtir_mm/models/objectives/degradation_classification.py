"""Predicting the degradation, for blind restoration with a trained network (not in the paper)."""

from typing import TYPE_CHECKING

from dtir_mm.models.objectives.objective import Losses, Objective, Samples
from dtir_mm.registry import MODELS

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer


@MODELS.register_module()
class DegradationClassification(Objective):
    """The cross entropy of ``model.classifier``; the rest of the model is frozen.

    Args:
        clean_weight: weight of the ground truth of each sample, to be classified as clean, relative
            to its degraded image; None for that of one task.
    """

    name = 'classifier_loss'

    def __init__(self, clean_weight: float | None = None) -> None:
        self.clean_weight = clean_weight

    def prepare(self, restorer: 'Restorer') -> None:
        """See ``Objective``.

        Raises:
            ValueError: the restorer has no classifier.
        """
        if restorer.classifier is None:
            raise ValueError('DegradationClassification needs model.classifier, got None')
        restorer.requires_grad_(False)
        restorer.classifier.requires_grad_(True)

    def losses(self, restorer: 'Restorer', samples: Samples) -> Losses:
        """See ``Objective``."""
        assert restorer.classifier is not None, 'checked by prepare'
        to_signed = restorer.image_range.to_signed
        degraded, clean = to_signed(samples['degraded']), to_signed(samples['clean'])
        losses = restorer.classifier.losses(degraded, clean, samples['task'], self.clean_weight)
        return Losses(losses, {})
