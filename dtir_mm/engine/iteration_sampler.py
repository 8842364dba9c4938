"""An endless sampler whose every sample is a function of (seed, iteration, slot)."""

from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dist import get_rank, get_world_size
from torch.utils.data import Sampler

from dtir_mm.datasets.base_dataset import SampleKey
from dtir_mm.randomness import generator
from dtir_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class IterationSampler(Sampler):
    """Draws a new permutation of the data set in each endless pass over it.

    Each process takes ``batch_size`` consecutive slots of an iteration's global batch, so that the
    samples do not depend on the number of processes.

    Args:
        dataset: the data set.
        seed: the run's seed.
        batch_size: samples of an iteration in each process.

    Attributes:
        start_iteration: the first iteration to yield; set it to resume.
    """

    start_iteration = 0

    def __init__(self, dataset: Sized, seed: int | None, batch_size: int) -> None:
        self.size = len(dataset)
        self.seed = seed or 0
        self.batch_size = batch_size

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[SampleKey]:
        first_slot = get_rank() * self.batch_size
        global_batch = get_world_size() * self.batch_size
        order_of: tuple[int, np.ndarray] = (-1, np.empty(0))
        iteration = self.start_iteration
        while True:
            for slot in range(first_slot, first_slot + self.batch_size):
                epoch, place = divmod(iteration * global_batch + slot, self.size)
                if order_of[0] != epoch:
                    order_of = epoch, generator(self.seed, epoch, 'order').permutation(self.size)
                yield SampleKey(self.seed, iteration, slot, int(order_of[1][place]))
            iteration += 1
