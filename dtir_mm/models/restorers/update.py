"""The state of one optimiser update on a global batch: samples, gradients, logs.

Gradients are flat vectors (P,), summed over micro-batches and processes. Samples are of two kinds:
"main", for the stage's objective, and "mixed", for the generative one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from mmengine.dist import get_world_size
from torch import Tensor, nn

from dtir_mm.models.gradients import sum_over_processes
from dtir_mm.models.objectives.objective import Objective, Samples
from dtir_mm.models.preprocessor import select
from dtir_mm.models.regularizers.regularizer import LayerDecay
from dtir_mm.randomness import seeded

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

Differentiate = Callable[[Tensor, Sequence[nn.Parameter]], Tensor]


class Update:
    """The state of an update, which regularizers read (``regularizers/regularizer.py``).

    Args:
        restorer: the model to update.
        batch: this process's preprocessed samples, not empty.
        differentiate: the gradient (P,) of a loss.
        layer_decay: factors of each parameter; None for 1.
        micro_batch_size: samples per forward pass; None for all.
    """

    main: Tensor
    mixed: Tensor  # set only if there are such samples
    content_norm: Tensor

    def __init__(
        self,
        restorer: 'Restorer',
        batch: Samples,
        differentiate: Differentiate,
        layer_decay: LayerDecay | None,
        micro_batch_size: int | None,
    ) -> None:
        self.restorer = restorer
        self.batch = batch
        self.seed, self.iteration, _ = batch['key'][0].tolist()
        self.total = len(batch['path']) * get_world_size()
        assert int(batch['key'][:, 2].max()) < self.total, 'a sample without a slot would be lost'
        self.parameters = restorer.trained_parameters()
        self.layer_decay = layer_decay or LayerDecay(len(self.parameters))
        self.micro_batch_size = micro_batch_size
        self.objectives: dict[str, Objective] = {}
        self.slots = {'mixed': range(0), 'main': range(self.total)}
        self.added = False  # whether the mixed gradient is part of the update, or only logged
        self.groups: dict[str, list[Samples]] = {}
        self.rows: dict[str, list[Tensor]] = {}
        self.logged: dict[str, Tensor] = {}
        self.diagnostics: set[str] = set()  # logged names that do not affect the weights
        self._differentiate = differentiate
        self._totals: dict[str, Tensor] = {}

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each kind over all processes."""
        return {kind: len(members) for kind, members in self.slots.items()}

    @property
    def of_samples(self) -> Tensor:
        """The gradient (P,) of the objectives, before decay, cap and regularizers."""
        return self.main + self.mixed if self.added and self.counts['mixed'] else self.main

    def forward_and_differentiate(self, num_groups: int) -> None:
        """Sets ``groups`` and the sums ``main`` and ``mixed``, and logs the losses.

        Each kind is forwarded separately, in at most ``num_groups`` groups by global slot, whose
        gradients are kept in ``rows``; 0 for a single group without ``rows``.
        """
        sums: dict[str, Tensor] = {}
        for kind, objective in self.objectives.items():
            self.groups[kind] = self._split(self.slots[kind], max(num_groups, 1))
            results = [self._accumulate(kind, samples) for samples in self.groups[kind]]
            rows = [sum_over_processes(gradient) for gradient, _ in results]
            if num_groups:
                self.rows[kind] = rows
                sums[kind] = rows[0].clone()
                for row in rows[1:]:
                    sums[kind].add_(row)
            else:
                (sums[kind],) = rows
            joined = {
                name: torch.cat([logged[name] for _, logged in results]) for name in results[0][1]
            }
            self._totals[kind] = joined[objective.name]
            self.logged |= joined if kind == 'main' else {objective.name: joined[objective.name]}
            if kind == 'mixed' and not self.added:
                self.diagnostics.add(objective.name)
        self.main = sums['main']
        if 'mixed' in sums:
            self.mixed = sums['mixed']

    def fold(self, terms: Tensor | None) -> Tensor:
        """Sums ``main``, ``mixed`` and terms to one gradient (P,), and frees them.

        Each is as large as the network. What second-order terms read is kept.
        """
        if self.rows:
            self.content_norm = self.main.norm()
        gradient = self.main
        if self.added and self.counts['mixed']:
            gradient += self.mixed
        if terms is not None:
            gradient += terms
        del self.main
        if self.counts['mixed']:
            del self.mixed
        return gradient

    def differentiate(self, kind: str, samples: Samples, how: Differentiate) -> Tensor:
        """A linear functional (P,) of the loss of some samples of this process."""
        return self._accumulate(kind, samples, how)[0]

    def losses(self, kind: str, samples: Samples) -> Tensor:
        """The objective (n,) of some samples of this process, with its graph."""
        return self.objectives[kind].losses(self.restorer, samples).total

    def twice_differentiable(self) -> AbstractContextManager[None]:
        """Inside, the network can be differentiated twice."""
        return self.restorer.backbone.twice_differentiable()

    def mean_loss(self, kind: str) -> Tensor:
        """The objective's mean () over all processes' samples of a kind."""
        return sum_over_processes(self._totals[kind].sum()) / self.counts[kind]

    def log(self, name: str, value: Tensor) -> None:
        """Logs a number () that is the same in all processes; it is dropped if not finite."""
        self.diagnostics.add(name)
        self.logged[name] = value.detach().reshape(1)

    def _split(self, members: range, parts: int) -> list[Samples]:
        """This process's samples of some slots, in at most ``parts`` groups of equal length."""
        slots = self.batch['key'][:, 2].tolist()
        number = max(min(parts, len(members)), 1)
        return [
            select(
                self.batch,
                [
                    i
                    for i, slot in enumerate(slots)
                    if slot in members and (slot - members.start) * number // len(members) == part
                ],
            )
            for part in range(number)
        ]

    def _accumulate(
        self, kind: str, samples: Samples, how: Differentiate | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient (P,) of ``sum(losses) / global batch`` over samples of this process, and losses.

        One micro-batch's graph is alive at a time; without samples the gradient is zero. ``how``
        may be another linear functional, with the same dropout.

        Raises:
            ValueError: the stage's objective depends on no trained parameter.
        """
        objective, how = self.objectives[kind], how or self._differentiate
        step = self.restorer.step
        names = (objective.name, *objective.parts(self.restorer))
        empty = samples['clean'].new_zeros(0)  # parameters may be sharded
        gradient = None  # not zeros to add to: such a vector is as large as the network
        logged: dict[str, list[Tensor]] = {name: [empty] for name in names}
        for micro in self._micro_batches(samples):
            with seeded(micro['clean'].device, *micro['key'][0].tolist(), 'dropout'):
                total, parts = objective.losses(self.restorer, micro)
            if step and objective is step.objective and not total.requires_grad:
                raise ValueError(
                    f'model.freeze={list(self.restorer.freeze)} leaves nothing to train that the '
                    f'loss {objective.name!r} depends on'
                )
            part = how(total.sum() / self.total, self.parameters)
            gradient = part if gradient is None else gradient.add_(part)
            for name, values in {objective.name: total.detach(), **parts}.items():
                logged[name].append(values)
        if gradient is None:
            gradient = empty.new_zeros(sum(p.numel() for p in self.parameters))
        return gradient, {name: torch.cat(values) for name, values in logged.items()}

    def _micro_batches(self, samples: Samples) -> Iterator[Samples]:
        count = len(samples['path'])
        step = self.micro_batch_size or max(count, 1)
        for start in range(0, count, step):
            yield select(samples, list(range(start, min(start + step, count))))
