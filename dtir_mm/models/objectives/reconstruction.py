"""The restoration objective: L_content of Eq. 12, at the matched time step of each task."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from dtir_mm.models.objectives.objective import Losses, Objective, Samples
from dtir_mm.models.objectives.pixel_losses import build_terms, sum_of
from dtir_mm.registry import MODELS

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

# Switch Transformer (Fedus et al., 2022); only top-k routing could starve an expert.
_BALANCE_WEIGHT = 0.01


@MODELS.register_module()
class Reconstruction(Objective):
    """The distance between restored image and ground truth, a sum of pixel losses.

    It also logs the input's distance: a run whose content loss stays there has only learnt the
    identity (``PlateauHook``).

    Args:
        losses: named configs of ``pixel_losses.py``; None for only L1, as in the preprint.
            The released code adds 0.1 x FFT, whose gradient leads out of that plateau.
    """

    name = 'content'
    of_input = 'content_of_input'

    def __init__(self, losses: Mapping[str, Any] | None = None) -> None:
        self.terms = build_terms(losses)

    def parts(self, restorer: 'Restorer') -> tuple[str, ...]:
        """Each of several terms, the input's loss, and the routing entropy."""
        terms = tuple(f'{self.name}_{term}' for term in self.terms) if len(self.terms) > 1 else ()
        adapted = restorer.backbone.adapters is not None
        return (*terms, self.of_input, *(('routing_entropy',) if adapted else ()))

    def losses(self, restorer: 'Restorer', samples: Samples) -> Losses:
        """See ``Objective``; with top-k routing, the load balance of the experts is added.

        The balance is computed per micro-batch and process, since it is not linear in the samples.

        Raises:
            ValueError: the samples have no degraded images.
        """
        if 'degraded' not in samples:
            raise ValueError(
                f'model.step.objective {self.name!r} learns from pairs, but the samples of '
                f'train_dataloader.dataset have no degraded image: use a data set of pairs '
                f'(DegradedPhotosDataset, PairedFolderDataset)'
            )
        degraded, clean = samples['degraded'], samples['clean']
        t = restorer.timesteps_of(samples)
        restored = restorer(degraded, t)
        values = {name: term(restored, clean) for name, term in self.terms.items()}
        total = torch.stack(list(values.values())).sum(0)
        with torch.no_grad():
            parts = {self.of_input: sum_of(self.terms, degraded, clean)}
        if len(values) > 1:
            parts |= {f'{self.name}_{name}': value.detach() for name, value in values.items()}
        adapters = restorer.backbone.adapters
        if adapters is not None:
            parts['routing_entropy'] = adapters.routing_entropy.expand(len(total))
            if adapters.top_k is not None:
                total = total + _BALANCE_WEIGHT * adapters.balance_loss
        return Losses(total, parts)
