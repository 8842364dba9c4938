"""The pairs of many tasks, from which a sampler draws task by task."""

from collections.abc import Sequence

import numpy as np

from dtir_mm.datasets.concat import ConcatDataset
from dtir_mm.registry import DATASETS


@DATASETS.register_module()
class TaskMixtureDataset(ConcatDataset):
    """Data sets of one task each, and which samples belong to which task.

    What is drawn, and when a task joins, is not decided here: ``TaskMixtureSampler`` and
    ``IncrementalTaskSchedulerHook`` do, so that data sets held by workers never change.

    Args:
        datasets: configs of the data sets; several may have the same task.

    Raises:
        ValueError: a data set has no task, or several.
    """

    def __init__(self, datasets: Sequence[dict]) -> None:
        super().__init__(datasets)
        self.indices: dict[str, np.ndarray] = {task: np.empty(0, int) for task in self.tasks}
        first = 0
        for number, part in enumerate(self.parts):
            if len(part.tasks) != 1:
                raise ValueError(
                    f'datasets[{number}] of TaskMixtureDataset has the tasks {part.tasks}; each '
                    f'must have exactly one'
                )
            own = np.arange(first, first + len(part))
            self.indices[part.tasks[0]] = np.concatenate([self.indices[part.tasks[0]], own])
            first += len(part)
