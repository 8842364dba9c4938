"""The interface of regularizers: terms of the update with their own gradient.

To add one, register it in ``MODELS`` and add a key to ``model.step.regularizers``.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Samples = dict[str, Any]


class LayerDecay:
    """A factor for each of K parameters, which ``LayerWiseDecayHook`` sets; 1 without it.

    Args:
        count: K.
    """

    def __init__(self, count: int) -> None:
        self.gate = torch.ones(count, dtype=torch.float64)  # of the generative gradient
        self.penalty = torch.ones(count, dtype=torch.float64)  # of lambda


class Update(Protocol):
    """What regularizers see of an update (``restorers/update.py``).

    There are two kinds of samples, "main" (restoration) and "mixed" (generative). ``added`` states
    whether the mixed gradient is part of the update or only logged. First-order terms read the
    gradients (P,) ``main`` and ``mixed``, the latter after layer-wise decay. Second-order terms run
    after these are freed: they read ``rows``, the gradients (P,) of groups of samples of each kind
    before the decay, and ``content_norm``, the norm () of ``main``. All are over all processes.
    """

    seed: int
    iteration: int
    parameters: list[nn.Parameter]
    layer_decay: LayerDecay
    added: bool
    groups: dict[str, list[Samples]]
    rows: dict[str, list[Tensor]]
    content_norm: Tensor
    main: Tensor
    mixed: Tensor

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each kind over all processes."""

    def mean_loss(self, kind: str) -> Tensor:
        """The objective's mean () over all processes' samples of a kind."""

    def log(self, name: str, value: Tensor) -> None:
        """Logs a number () that is the same in all processes; it is dropped if not finite."""

    def differentiate(
        self, kind: str, samples: Samples, how: Callable[[Tensor, Sequence[nn.Parameter]], Tensor]
    ) -> Tensor:
        """A linear functional (P,) of the loss of some samples of this process."""

    def twice_differentiable(self) -> AbstractContextManager[None]:
        """Inside, the network can be differentiated twice."""

    def losses(self, kind: str, samples: Samples) -> Tensor:
        """The objective (n,) of some samples of this process, with its graph."""


class Regularizer(Protocol):
    """A term of the update besides the objectives."""

    num_groups: int  # groups of samples of each kind whose gradients it reads; 0 for none
    second_order: bool  # whether it differentiates gradients, which needs full precision

    def is_due(self, update: Update) -> bool:
        """Whether it is part of an update; called before the forward pass."""

    def gradient(self, update: Update) -> Tensor:
        """The gradient (P,) to add; logs its statistics."""
