"""A sampler that gives each task its share of every batch, to within one sample."""

from collections.abc import Iterator

import numpy as np
from mmengine.dist import get_rank, get_world_size
from torch.utils.data import Sampler

from dtir_mm.datasets.base_dataset import SampleKey
from dtir_mm.datasets.task_mixture import TaskMixtureDataset
from dtir_mm.engine.task_schedule import TaskSchedule
from dtir_mm.randomness import generator
from dtir_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class TaskMixtureSampler(Sampler):
    """Draws the tasks of each global batch by their shares, and samples of each task at random.

    A global batch of n samples has n times a task's share, rounded up or down: its tasks are those
    at n evenly spaced points of the cumulative shares, in random order. Everything is a function of
    (seed, iteration, slot), as in ``IterationSampler``.

    Args:
        dataset: the data set.
        seed: the run's seed.
        batch_size: samples of an iteration in each process.
        shares: "alike", those of the schedule; "size", in proportion to the size of each task's
            data as well, as if data sets were concatenated (the released code).

    Attributes:
        schedule: the training loop's, which sets it; before that all tasks in equal shares.
        start_iteration: the first iteration to yield; set it to resume.

    Raises:
        ValueError: ``shares`` is neither.
    """

    start_iteration = 0

    def __init__(
        self, dataset: TaskMixtureDataset, seed: int | None, batch_size: int, shares: str = 'alike'
    ) -> None:
        if shares not in ('alike', 'size'):
            raise ValueError(f'shares={shares!r} of TaskMixtureSampler must be "alike" or "size"')
        self.shares = shares
        self.indices = dataset.indices
        self.size = len(dataset)
        self.seed = seed or 0
        self.batch_size = batch_size
        self.schedule = TaskSchedule(tuple(self.indices), 'joint', max_iters=1)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[SampleKey]:
        first_slot = get_rank() * self.batch_size
        iteration = self.start_iteration
        while True:
            batch = self._batch(iteration, get_world_size() * self.batch_size)
            for slot in range(first_slot, first_slot + self.batch_size):
                yield SampleKey(self.seed, iteration, slot, batch[slot])
            iteration += 1

    def _weights(self, iteration: int) -> dict[str, float]:
        weights = self.schedule.weights(iteration)
        if self.shares == 'alike':
            return weights
        weights = {task: share * len(self.indices[task]) for task, share in weights.items()}
        total = sum(weights.values())
        return {task: share / total for task, share in weights.items()}

    def _batch(self, iteration: int, size: int) -> list[int]:
        """The samples of a global batch."""
        rng = generator(self.seed, iteration, 'tasks')
        weights = self._weights(iteration)
        points = (np.arange(size) + rng.random()) / size
        chosen = np.searchsorted(np.cumsum(list(weights.values()))[:-1], points, side='right')
        tasks = [list(weights)[i] for i in rng.permutation(chosen)]
        return [int(self.indices[task][rng.integers(len(self.indices[task]))]) for task in tasks]
