"""Base class of objectives: per-sample losses, which a training step averages."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

Samples = dict[str, Any]


class Losses(NamedTuple):
    """``total`` (B,), to minimise, and ``parts`` to log, each with at most B values."""

    total: Tensor
    parts: dict[str, Tensor]


class Objective(ABC):
    """The objective of a stage; ``name`` is the name of its loss in logs."""

    name: str

    def prepare(self, restorer: 'Restorer') -> None:
        """Freezes what is not trained: by default the classifier, which has its own stage."""
        if restorer.classifier is not None:
            restorer.classifier.requires_grad_(False)

    @abstractmethod
    def losses(self, restorer: 'Restorer', samples: Samples) -> Losses:
        """The losses of preprocessed samples, which depend only on these and their keys."""

    def parts(self, restorer: 'Restorer') -> tuple[str, ...]:
        """The names in ``Losses.parts``, which a process without samples needs, too."""
        return ()

    def val_losses(self, restorer: 'Restorer', batch: Samples) -> dict[str, list[float]]:
        """Validation losses on whole images (B, 3, H, W), one value per image."""
        return {}
