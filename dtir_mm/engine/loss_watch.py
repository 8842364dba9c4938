"""The last good checkpoint of a run, judged by the losses of the updates after it."""

from typing import Any

import torch
from torch import Tensor

DIVERGED = 10.0  # times the lowest loss so far; random variation stays far below
UPDATES = 100  # after a checkpoint, whose losses judge it


class LossWatch:
    """Judges a checkpoint when the next one is written, by the losses right after it.

    It is good if their median is at most ten times the lowest so far: the losses of a diverging run
    may stay finite for long.

    Args:
        newest: the checkpoint that training continues from, if any; judged next.
        good: the last good one, if any.
        lowest: the lowest median loss so far, if any.
    """

    def __init__(
        self, newest: str | None = None, good: str | None = None, lowest: float | None = None
    ) -> None:
        self.newest = newest
        self.good = good
        self.lowest = lowest
        self._losses: list[Tensor] = []

    def state(self) -> dict[str, Any]:
        """The state that checkpoints carry."""
        return {'good': self.good, 'lowest': self.lowest}

    def add(self, loss: Tensor | None) -> None:
        """Adds the loss of an update, if any."""
        if loss is not None and len(self._losses) < UPDATES:
            self._losses.append(loss.detach())

    def forget_lowest(self) -> None:
        """Starts again, because the next losses are not comparable."""
        self.lowest = None
        self._losses = []

    def judge(self, newest: str | None) -> None:
        """Judges the newest checkpoint by the losses since; ``newest`` is judged next."""
        if self._losses:
            median = float(torch.stack(self._losses).median())
            if self.lowest is None or median <= DIVERGED * self.lowest:
                self.good = self.newest
                self.lowest = median if self.lowest is None else min(self.lowest, median)
            self._losses = []
        self.newest = newest
