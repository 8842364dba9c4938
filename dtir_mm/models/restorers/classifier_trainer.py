"""Trains what finds out the degradation, beside a finished network of many tasks."""

from typing import Any

from torch import Tensor

from dtir_mm.models.restorers.gradients import sum_over_processes
from dtir_mm.models.restorers.unified_restorer import UnifiedRestorer
from dtir_mm.registry import MODELS


@MODELS.register_module()
class ClassifierTrainer(UnifiedRestorer):
    """``UnifiedRestorer`` whose classifier is trained, and nothing else.

    All tasks take part from the first update on: where they join one after another, the last ones
    would hardly be seen.

    Args:
        kwargs: see ``UnifiedRestorer``; a classifier is needed.

    Raises:
        ValueError: there is no classifier.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.classifier is None:
            raise ValueError('ClassifierTrainer needs model.classifier, got None')
        self.requires_grad_(False)
        self.classifier.requires_grad_(True)

    def compute_gradient(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradient of the cross entropy, and its value for each sample."""
        gradient, losses = self.accumulate(batch, self._losses, self.global_batch(batch))
        return sum_over_processes(gradient), {'classifier_loss': losses}

    def _losses(self, batch: dict[str, Any]) -> Tensor:
        return self.classifier.losses(batch['degraded'], batch['clean'], batch['task'])
