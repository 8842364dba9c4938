"""What a regularizer is: a gradient of its own that joins the objectives' in some updates.

Adding one is a file beside this one, registered in ``MODELS``, and a key of
``model.step.regularizers``.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Samples = dict[str, Any]


class LayerDecay:
    """The factors of each of K parameters that ``LayerWiseDecayHook`` sets; 1 without it.

    Args:
        count: K.
    """

    def __init__(self, count: int) -> None:
        self.gate = torch.ones(count, dtype=torch.float64)  # of the generative gradient
        self.penalty = torch.ones(count, dtype=torch.float64)  # of lambda


class Update(Protocol):
    """One update, as far as regularizers may know it (``restorers/update.py``).

    There are two kinds of samples, "main" (restoration) and "mixed" (generative); ``counts`` are
    those of each, and ``added`` says whether the mixed gradient is a part of the update, or only
    watched. Terms of first order read ``main`` and ``mixed``, the gradients (P,), the latter behind
    the layer-wise decay. Terms of second order come after these are gone: they read ``rows``, the
    gradients (P,) of groups of samples of each kind, before the decay, and ``content_norm``, the
    norm () of ``main``. All are over all processes.
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
        """The objective's mean (), over the samples of a kind of all processes."""

    def log(self, name: str, value: Tensor) -> None:
        """Logs a number (), the same in all processes; a number that is not finite is left out."""

    def differentiate(
        self,
        kind: str,
        samples: Samples,
        how: Callable[[Tensor, Sequence[nn.Parameter]], Tensor],
    ) -> Tensor:
        """A linear functional (P,) of the loss of some samples of this process."""

    def twice_differentiable(self) -> AbstractContextManager[None]:
        """What is forwarded and differentiated in here can be differentiated again."""

    def losses(self, kind: str, samples: Samples) -> Tensor:
        """The objective (n,) of some samples of this process, with its graph."""


class Regularizer(Protocol):
    """A term of the update beside the objectives."""

    num_groups: int  # groups of samples of each kind whose gradients it reads; 0 for none
    second_order: bool  # whether it differentiates gradients, which wants full precision

    def is_due(self, update: Update) -> bool:
        """Whether it has a part in an update; known before anything is forwarded."""

    def gradient(self, update: Update) -> Tensor:
        """What it adds to the gradient, (P,); logs what it did."""
