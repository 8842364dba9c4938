"""Pairs of several tasks, sampled task by task."""

from collections.abc import Sequence

import numpy as np

from dtir_mm.datasets.concat import ConcatDataset
from dtir_mm.registry import DATASETS


@DATASETS.register_module()
class TaskMixtureDataset(ConcatDataset):
    """Concatenation of data sets of one task each, with the indices of each task.

    ``TaskMixtureSampler`` decides what is drawn, so that the copies of the data set in workers
    never change.

    Args:
        datasets: configs of the data sets; several may share a task.

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
