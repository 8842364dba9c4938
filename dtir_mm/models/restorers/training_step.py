"""The optimiser update of every stage: the sum of objectives and regularizers (Alg. 1, 3, 4)."""

from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from dtir_mm.models.gradients import (
    capped_parts,
    flat_gradient,
    scale_parts,
    sum_over_processes,
    write_gradient,
)
from dtir_mm.models.objectives.objective import Objective, Samples
from dtir_mm.models.regularizers.regularizer import LayerDecay, Regularizer
from dtir_mm.models.restorers.mixing import SampleMixing, UpdateMixing
from dtir_mm.models.restorers.update import Update
from dtir_mm.registry import MODELS

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer


class TrainingStep:
    """``L = objective + mixed generative loss + regularizers``, each exchangeable.

    Args:
        objective: config of the stage's objective: ``NoisePrediction`` or ``Denoising`` in
            pre-training, ``Reconstruction`` in fine-tuning, ``DegradationClassification`` after it.
        mixing: config of the generative samples mixed in; None for none.
        regularizers: configs by name; None switches one off. ``ImportanceAccumulationHook`` sets
            the importance of "importance".
        micro_batch_size: samples per forward pass; None for all. The update is the same, except
            for dropout.

    Raises:
        ValueError: ``micro_batch_size`` is below 1.
    """

    def __init__(
        self,
        objective: Mapping[str, Any],
        mixing: Mapping[str, Any] | None = None,
        regularizers: Mapping[str, Mapping[str, Any] | None] | None = None,
        micro_batch_size: int | None = None,
    ) -> None:
        if micro_batch_size is not None and micro_batch_size < 1:
            raise ValueError(
                f'model.step.micro_batch_size={micro_batch_size} must be at least 1, or None'
            )
        self.objective: Objective = MODELS.build(dict(objective))
        self.mixing: SampleMixing | UpdateMixing | None = (
            MODELS.build(dict(mixing)) if mixing else None
        )
        self.regularizers: dict[str, Regularizer] = {
            name: MODELS.build(dict(config))
            for name, config in (regularizers or {}).items()
            if config is not None
        }
        self.micro_batch_size = micro_batch_size
        self.layer_decay: LayerDecay | None = None  # LayerWiseDecayHook's
        self.observers: list[Callable[[Update], None]] = []
        self.differentiate, self.assign = flat_gradient, write_gradient  # FSDP: its own

    @property
    def combines_gradients(self) -> bool:
        """Whether gradients are combined beyond a sum, and so needed unsharded."""
        return self.mixing is not None or bool(self.regularizers)

    def run(
        self, restorer: 'Restorer', batch: Samples, optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """One update on a preprocessed batch; returns the mean losses over all processes.

        Raises:
            FloatingPointError: a loss or the gradient is not finite; no weight was updated.
        """
        update = self._begin(restorer, batch)
        gradient = self._add_up(update)
        means = _means_over_processes(update.logged)
        finite = {name: mean for name, mean in means.items() if torch.isfinite(mean)}
        _require_finite(batch, means.keys() - finite.keys() - update.diagnostics, gradient)
        self.assign(gradient, restorer.trained_parameters())
        optim_wrapper.step()
        optim_wrapper.zero_grad()
        return finite

    def gradient(self, restorer: 'Restorer', batch: Samples) -> tuple[Tensor, dict[str, Tensor]]:
        """The update's gradient (P,) over all processes, and this process's logged values (n,)."""
        update = self._begin(restorer, batch)
        return self._add_up(update), update.logged

    def _add_up(self, update: Update) -> Tensor:
        """Combines the gradients: the update's (P,), over all processes."""
        due = [term for term in self.regularizers.values() if term.is_due(update)]
        second_order = [term for term in due if term.second_order]
        exact = update.restorer.without_autocast() if second_order else nullcontext()
        with exact:
            update.forward_and_differentiate(max((term.num_groups for term in due), default=0))
            for observe in self.observers:
                observe(update)
            if update.counts['mixed']:
                cosine = torch.cosine_similarity(update.mixed, update.main, dim=0)
                update.log('gradient_cosine', cosine)
                if update.added:
                    self._confine(update)
            # Regularizers see the objectives' gradients before these are summed.
            terms = None
            for term in due:
                if not term.second_order:
                    added = term.gradient(update)
                    terms = added if terms is None else terms.add_(added)
            gradient = update.fold(terms)
            del terms
            for term in second_order:
                gradient += term.gradient(update)
        return gradient

    def gradient_of(self, restorer: 'Restorer', batch: Samples, objective: Objective) -> Tensor:
        """The gradient (P,) of one objective's mean over a preprocessed batch of all processes."""
        update = self._update(restorer, batch)
        update.objectives = {'main': objective}
        update.forward_and_differentiate(0)
        return update.main

    def val_losses(self, restorer: 'Restorer', batch: Samples) -> dict[str, list[float]]:
        """The objectives' validation losses, one value per image."""
        measured = self.objective.val_losses(restorer, batch)
        if self.mixing is not None:
            measured |= self.mixing.objective.val_losses(restorer, batch)
        return measured

    def _begin(self, restorer: 'Restorer', batch: Samples) -> Update:
        """The update, with the generative samples that are mixed in."""
        update = self._update(restorer, batch)
        update.objectives = {'main': self.objective}
        if self.mixing is not None:
            mixed, main = self.mixing.slots(update.total, update.seed, update.iteration)
            update.slots = {'mixed': mixed, 'main': main}
            update.added = self.mixing.added
            if len(mixed):
                update.objectives = {'mixed': self.mixing.objective, **update.objectives}
        return update

    def _update(self, restorer: 'Restorer', batch: Samples) -> Update:
        return Update(restorer, batch, self.differentiate, self.layer_decay, self.micro_batch_size)

    def _confine(self, update: Update) -> None:
        """Limits the generative gradient by layer-wise decay and cap."""
        scale_parts(update.mixed, update.layer_decay.gate, update.parameters)
        if self.mixing and self.mixing.cap is not None:
            capped_parts(update.mixed, update.main, self.mixing.cap, update.parameters)


def _means_over_processes(logged: dict[str, Tensor]) -> dict[str, Tensor]:
    """Means over all processes, without names that have no sample."""
    sums = [torch.stack([v.double().sum(), v.new_tensor(len(v)).double()]) for v in logged.values()]
    totals = sum_over_processes(torch.stack(sums))
    return {
        name: total / count
        for name, (total, count) in zip(logged, totals, strict=True)
        if count > 0
    }


def _require_finite(batch: Samples, broken: Collection[str], gradient: Tensor) -> None:
    """Raises FloatingPointError if losses or gradient are not finite; names the files."""
    if not broken and torch.isfinite(gradient.sum()):
        return
    what = f'losses {", ".join(sorted(broken))}' if broken else 'the gradient'
    raise FloatingPointError(
        f'{what} not finite at iteration {int(batch["key"][0, 1])}; the weights were not '
        f'updated. Files of this batch: {", ".join(dict.fromkeys(batch["path"]))}'
    )
