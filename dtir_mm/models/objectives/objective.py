"""What an objective is: a loss of each sample, that a training step averages and differentiates."""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

Samples = dict[str, Any]


class Losses(NamedTuple):
    """``total`` (B,), which is minimised, and what else to log of each sample, (B,) or fewer."""

    total: Tensor
    parts: dict[str, Tensor]


class Objective(Protocol):
    """One of stage 1, 2 or 3. ``name`` stands for its loss in logs."""

    name: str

    def prepare(self, restorer: 'Restorer') -> None:
        """Leaves of the restorer's parameters only those trainable that are to be trained."""

    def losses(self, restorer: 'Restorer', samples: Samples) -> Losses:
        """The losses of preprocessed samples, a function of these and their keys alone."""

    def parts(self, restorer: 'Restorer') -> tuple[str, ...]:
        """The names in ``Losses.parts``, which a process without samples must know too."""

    def val_losses(self, restorer: 'Restorer', batch: Samples) -> dict[str, list[float]]:
        """What is measured in validation on whole images (B, 3, H, W), a value an image."""


def train_restoration(restorer: 'Restorer') -> None:
    """Everything but a classifier, which has a stage of its own."""
    if restorer.classifier is not None:
        restorer.classifier.requires_grad_(False)
