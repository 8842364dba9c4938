"""The most faithful and most expensive criterion: fine-tune at each time step (Fig. 3b)."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dtir_mm.matching.criteria.criterion import Criterion, ErrorsAt, PretrainedNetwork
from dtir_mm.matching.pairs import steps_like
from dtir_mm.registry import CRITERIA

_BATCH = 8
_LEARNING_RATE = 5e-4
# Seven time steps, as fractions of T, since each costs a training.
_GRID = (0.02, 0.16, 0.32, 0.48, 0.64, 0.8, 1.0)


@CRITERIA.register_module(name='probe_train')
class ProbeTrain(Criterion):
    """The L1 loss on held-out pairs after a short fine-tuning at t, relative to the input's.

    Every second pair is held out, so there are N // 2 errors.

    Args:
        iterations: updates of Adam at each time step, with the L1 loss only.

    Raises:
        ValueError: ``iterations`` is below 1.
    """

    trains = True

    def __init__(self, iterations: int = 1000) -> None:
        if iterations < 1:
            raise ValueError(f'iterations={iterations} of probe_train must be at least 1')
        self.iterations = iterations

    def grid(self, num_steps: int) -> Sequence[int]:
        """1, 8, 16, 24, 32, 40 and 50 of T = 50."""
        return sorted({max(round(fraction * num_steps), 1) for fraction in _GRID})

    def errors_at(
        self, network: PretrainedNetwork, degraded: Tensor, clean: Tensor, seed: int
    ) -> ErrorsAt:
        """See ``Criterion``; the network itself is left as it is, a copy of it is trained."""
        train, held_out = slice(0, None, 2), slice(1, None, 2)

        def errors_at(t: int) -> Tensor:
            trained = copy.deepcopy(network)
            with torch.enable_grad():
                self._fine_tune(trained, degraded[train], clean[train], t, seed)
            trained.train(False)
            with torch.no_grad():
                error = _l1(trained, degraded[held_out], clean[held_out], t)
            return (error / (degraded - clean)[held_out].abs().mean((1, 2, 3))).cpu()

        return errors_at

    def _fine_tune(
        self, network: PretrainedNetwork, degraded: Tensor, clean: Tensor, t: int, seed: int
    ) -> None:
        network.train()
        optimizer = torch.optim.Adam(network.parameters(), _LEARNING_RATE, betas=(0.9, 0.99))
        rng = torch.Generator().manual_seed(seed)
        for done in range(1, self.iterations + 1):
            batch = torch.randint(len(degraded), (_BATCH,), generator=rng)
            loss = _l1(network, degraded[batch], clean[batch], t).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self.report(f't = {t}, iteration {done}')


def _l1(network: PretrainedNetwork, degraded: Tensor, clean: Tensor, t: int) -> Tensor:
    return (network(degraded, steps_like(degraded, t)) - clean).abs().mean((1, 2, 3))
