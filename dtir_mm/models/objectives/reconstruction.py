"""The objective of restoring: L_content of Eq. 12, at the matched time step of each task."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from dtir_mm.models.objectives.objective import Losses, Samples, train_restoration
from dtir_mm.models.objectives.pixel_losses import build_terms, sum_of
from dtir_mm.registry import MODELS

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

# Switch Transformer (Fedus et al., 2022); only where top-k routing could starve an expert.
_BALANCE_WEIGHT = 0.01


@MODELS.register_module()
class Reconstruction:
    """The distance of the restored image from the ground truth, the sum of some pixel losses.

    It also logs the same distance of the input: a run whose content loss stays there has learnt to
    give its input back (``PlateauHook``).

    Args:
        losses: named configs of ``pixel_losses.py``; None for L1 alone, the preprint's. The
            released code adds 0.1 x FFT, whose gradient leaves the plateau.
    """

    name = 'content'
    of_input = 'content_of_input'

    def __init__(self, losses: Mapping[str, Any] | None = None) -> None:
        self.terms = build_terms(losses)

    def prepare(self, restorer: 'Restorer') -> None:
        """See ``Objective``."""
        train_restoration(restorer)

    def parts(self, restorer: 'Restorer') -> tuple[str, ...]:
        """Each term where there are several, the loss of the input, and entropy of the routing."""
        terms = tuple(f'{self.name}_{term}' for term in self.terms) if len(self.terms) > 1 else ()
        adapted = restorer.backbone.adapters is not None
        return (*terms, self.of_input, *(('routing_entropy',) if adapted else ()))

    def losses(self, restorer: 'Restorer', samples: Samples) -> Losses:
        """See ``Objective``; with top-k routing, the balance of the experts comes on top.

        The balance is that of each micro-batch and process: it is not linear in the samples.

        Raises:
            ValueError: the samples are clean images alone.
        """
        if 'degraded' not in samples:
            raise ValueError(
                f'model.step.objective {self.name!r} learns from pairs, but the samples of '
                f'train_dataloader.dataset have no degraded image, as those of CleanPhotosDataset '
                f'have none: take a data set of pairs (DegradedPhotosDataset, PairedFolderDataset)'
            )
        degraded, clean = samples['degraded'], samples['clean']
        t = restorer.timesteps_of(samples)
        restored = restorer(degraded, t)
        values = {name: term(restored, clean) for name, term in self.terms.items()}
        total = torch.stack(list(values.values())).sum(0)
        with torch.no_grad():
            of_input = sum_of(self.terms, degraded, clean)
        parts = {self.of_input: of_input}
        if len(values) > 1:
            parts |= {f'{self.name}_{name}': value.detach() for name, value in values.items()}
        adapters = restorer.backbone.adapters
        if adapters is not None:
            parts['routing_entropy'] = adapters.routing_entropy.expand(len(total))
            if adapters.top_k is not None:
                total = total + _BALANCE_WEIGHT * adapters.balance_loss
        return Losses(total, parts)

    def val_losses(self, restorer: 'Restorer', batch: Samples) -> dict[str, list[float]]:
        """Nothing: the metrics judge the restored images."""
        return {}
