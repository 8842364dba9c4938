"""The importance of trained weights, which checkpoints carry from stage to stage (Alg. 4, 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dtir_mm.models.gradients import flatten, to_named
from dtir_mm.models.regularizers.parameter_importance import RunningImportance
from dtir_mm.weights_file import CheckpointError

_REQUIRED = ('omega', 'anchor', 'statistic')


@dataclass(frozen=True)
class Importance:
    """Omega of each parameter, and the weights at which it was accumulated.

    Attributes:
        omega: importance by parameter name, in the parameter's shape, >= 0.
        anchor: the weights that the penalty pulls towards.
        batches: number of batches (or samples) that omega is a mean over.
        statistic: "abs_gradient", the mean of ``|gradient|`` over batches; "abs_mean", the absolute
            value of the mean gradient; "fisher", the mean squared gradient of single samples.
        stages: number of stages that omega is a mean over; None for one.
    """

    omega: dict[str, Tensor]
    anchor: dict[str, Tensor]
    batches: int | None
    statistic: str
    stages: int | None = None

    @classmethod
    def accumulated(
        cls, named: Mapping[str, nn.Parameter], running: RunningImportance, statistic: str
    ) -> 'Importance':
        """What was accumulated for named parameters; their current values are the anchor."""
        assert running.mean is not None, 'nothing was accumulated'
        anchor = to_named(flatten(list(named.values())), named)
        return cls(to_named(running.mean.abs(), named), anchor, running.count, statistic)

    @classmethod
    def from_entry(cls, entry: Any) -> 'Importance | None':
        """Reads the entry "importance" of a checkpoint; None if missing or of another form."""
        if not isinstance(entry, Mapping) or any(key not in entry for key in _REQUIRED):
            return None
        required = {key: entry[key] for key in _REQUIRED}
        return cls(**required, batches=entry.get('batches'), stages=entry.get('stages'))

    def entry(self) -> dict[str, Any]:
        """The entry "importance" of a checkpoint."""
        return {key: value for key, value in vars(self).items() if value is not None}

    def block_means(self, blocks: Mapping[str, str]) -> dict[str, float]:
        """The mean omega over the weights of each block, given the block of each parameter."""
        totals: dict[str, tuple[float, int]] = {}
        for name, block in blocks.items():
            if name in self.omega:
                total, count = totals.get(block, (0.0, 0))
                omega = self.omega[name]
                totals[block] = total + omega.sum().item(), count + omega.numel()
        return {block: total / count for block, (total, count) in totals.items()}

    def after(self, former: 'Importance | None') -> 'Importance':
        """The mean omega over the former stages and this one, with this stage's anchor.

        Weights that the former stages did not have (adapters) had no importance then; weights that
        are frozen now keep theirs.

        Raises:
            CheckpointError: the two omegas are different statistics.
        """
        if former is None:
            return self
        if former.statistic != self.statistic:
            raise CheckpointError(
                f'importance of statistic {former.statistic!r} cannot be continued with '
                f'{self.statistic!r}; accumulate the former with dtir-mm accumulate-importance'
            )
        stages = former.stages or 1
        omega = {
            name: (stages * former.omega.get(name, torch.zeros_like(value)) + value) / (stages + 1)
            for name, value in self.omega.items()
        }
        return Importance(
            {**former.omega, **omega},
            {**former.anchor, **self.anchor},
            self.batches,
            self.statistic,
            stages + 1,
        )


def require_importance(
    importance: Importance | None, form: str, statistics: tuple[str, ...]
) -> None:
    """Raises CheckpointError unless a penalty of this form can use the checkpoint's importance."""
    how = f'dtir-mm accumulate-importance{" --fisher" if statistics == ("fisher",) else ""}'
    if importance is None:
        raise CheckpointError(
            f'model.step.regularizers.importance.form={form!r} needs the importance of the '
            f'pre-trained weights, but load_from names no checkpoint that carries it. Add it with '
            f'{how}, or set model.step.regularizers.importance=None'
        )
    if importance.statistic not in statistics:
        raise CheckpointError(
            f'model.step.regularizers.importance.form={form!r} needs an importance of statistic '
            f'{" or ".join(map(repr, statistics))}, but the checkpoint carries '
            f'{importance.statistic!r}. Accumulate the other with {how}'
        )
