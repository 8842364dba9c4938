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
    """Draws the samples in a new permutation in each pass over the data set, without end.

    The global batch of an iteration is split into consecutive slots, ``batch_size`` for each
    process, so that any number of processes with the same global batch see the same samples.

    Args:
        dataset: the data set.
        seed: the run's seed.
        batch_size: samples of an iteration in each process.
        start_iteration: the first iteration to yield; the training loop sets it on resume.
    """

    def __init__(
        self, dataset: Sized, seed: int | None, batch_size: int, start_iteration: int = 0
    ) -> None:
        self.size = len(dataset)
        self.seed = seed or 0
        self.batch_size = batch_size
        self.start_iteration = start_iteration

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
