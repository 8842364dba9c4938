"""What adapters of every kind have in common: a router, and a mixture that it weighs.

Suffixes of names give shapes: B batch, E experts, C channels, H and W pixels.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn


class RoutedAdapter(nn.Module, ABC):
    """Adds a mixture of experts to what one module of a network gives: ``h + m(gates, h)``.

    Args:
        channels: C, of the module's output.
        top_k: gates that are not zero; None for all.
    """

    # Attributes of one forward pass: what conditions it, and what it notes (PresentConditions).
    given, noted = ('_time',), ('_gates_BE', '_probabilities_BE')

    def __init__(self, channels: int, top_k: int | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.top_k = top_k
        self._time: Tensor | None = None
        self._gates_BE: Tensor | None = None
        self._probabilities_BE: Tensor | None = None

    @abstractmethod
    def route(self, time: Tensor, h_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """The softmax over all experts (B, E), and the gates (B, E) that are made of it."""

    @abstractmethod
    def mixture(self, gates_BE: Tensor, h_BCHW: Tensor) -> Tensor:
        """What is added to a feature map, (B, C, H, W)."""

    def __getstate__(self) -> dict[str, Any]:
        """A copy leaves the latest forward behind: tensors inside a graph cannot be copied."""
        return self.__dict__ | dict.fromkeys(self.given + self.noted)

    def set_time(self, time: Tensor | None) -> None:
        """Sets what tells the time, a row a sample, for the forward pass that follows.

        With None the adapter is bypassed.
        """
        self._time = time

    def adapt(self, site: str, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        """Forward hook of the module called ``site``: its output (B, C, H, W), adapted.

        Raises:
            ValueError: the output is no feature map with C channels and one sample a time step.
        """
        if self._time is None:
            return output
        shape, batch = tuple(getattr(output, 'shape', ())), self._time.shape[0]
        if len(shape) != 4 or shape[:2] != (batch, self.channels):
            raise ValueError(
                f'cannot adapt module {site!r}: its output has shape {shape}, but must be a '
                f'feature map ({batch}, {self.channels}, H, W): one sample a time step'
            )
        probabilities_BE, gates_BE = self.route(self._time, output)
        self._gates_BE = gates_BE.detach()
        self._probabilities_BE = probabilities_BE if self.training else probabilities_BE.detach()
        return output + self.mixture(gates_BE, output)

    @property
    def gates(self) -> Tensor:
        """The latest forward's gates (B, E), detached."""
        return self._of_latest_forward(self._gates_BE)

    @property
    def routing_entropy(self) -> Tensor:
        """Entropy of the latest forward's gates in nats, 0..log(E), mean over its samples: ()."""
        return torch.special.entr(self.gates).sum(dim=1).mean()

    @property
    def balance_loss(self) -> Tensor:
        """``E sum_e f_e P_e`` of the latest forward, (): 1 if experts are used alike, up to E.

        P_e is the mean of the softmax, f_e the share of samples whose largest gate is e; with
        ``top_k``, the share of the kept gates (Switch Transformer, Fedus et al., 2022, Eq. 4-6). It
        has a gradient if the adapter was in training mode.
        """
        probabilities_BE = self._of_latest_forward(self._probabilities_BE)
        share_E = largest(probabilities_BE, self.top_k or 1).mean(dim=0) / (self.top_k or 1)
        return probabilities_BE.shape[1] * (share_E * probabilities_BE.mean(dim=0)).sum()

    def _of_latest_forward(self, tensor: Tensor | None) -> Tensor:
        if tensor is None:
            raise RuntimeError('the adapter has not routed anything yet: run a forward pass first')
        return tensor


def largest(probabilities_BE: Tensor, k: int) -> Tensor:
    """One at the k largest of each row, zero elsewhere: (B, E)."""
    return torch.zeros_like(probabilities_BE).scatter(1, probabilities_BE.topk(k).indices, 1.0)
