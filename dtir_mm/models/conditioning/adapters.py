"""Adapters: mixtures of experts after some modules of a network, weighted by routers.

Suffixes of names give shapes: B batch, E experts, C channels, H and W pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# An expert with less than a tenth of its share 1 / E gets less than a tenth of its gradient: it
# hardly learns, and hardly contributes to the mixture.
_DEAD_SHARE = 0.1


@dataclass
class Routing:
    """How an adapter has weighted its experts in one forward pass.

    Args:
        gates_BE: the weights; detached.
        probabilities_BE: the softmax over all experts, with its graph in training mode.
        top_k: gates that are not zero; None for all.
    """

    gates_BE: Tensor
    probabilities_BE: Tensor
    top_k: int | None

    @property
    def entropy(self) -> Tensor:
        """Entropy of the gates in nats, 0..log(E), mean over the samples: ()."""
        return torch.special.entr(self.gates_BE).sum(dim=1).mean()

    @property
    def balance_loss(self) -> Tensor:
        """``E sum_e f_e P_e``, (): 1 if all experts are used equally, up to E.

        P_e is the mean of the softmax, f_e the share of samples whose largest gate is e; with
        ``top_k``, the share of the kept gates (Switch Transformer, Fedus et al., 2022, Eq. 4-6).
        """
        share_E = largest(self.probabilities_BE, self.top_k or 1).mean(dim=0) / (self.top_k or 1)
        mean_E = self.probabilities_BE.mean(dim=0)
        return self.probabilities_BE.shape[1] * (share_E * mean_E).sum()


class RoutedAdapter(nn.Module, ABC):
    """Adds a mixture of experts to the output of one module of a network: ``h + m(gates, h)``.

    Args:
        channels: C, of the module's output.
        top_k: gates that are not zero; None for all.
    """

    def __init__(self, channels: int, top_k: int | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.top_k = top_k

    @abstractmethod
    def route(self, time: Tensor, h_BCHW: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The softmax over all experts (B, E), and the gates (B, E) computed from it.

        Args:
            time: ``Adapters.time_input``, one row per sample.
            h_BCHW: the feature map; needed only if the gates depend on the content.
        """

    @abstractmethod
    def mixture(self, gates_BE: Tensor, h_BCHW: Tensor) -> Tensor:
        """What is added to a feature map, (B, C, H, W)."""

    def forward(self, time: Tensor, h_BCHW: Tensor) -> tuple[Tensor, Routing]:
        """The adapted feature map (B, C, H, W), and how it was routed; see ``route``."""
        probabilities_BE, gates_BE = self.route(time, h_BCHW)
        noted_BE = probabilities_BE if self.training else probabilities_BE.detach()
        routing = Routing(gates_BE.detach(), noted_BE, self.top_k)
        return h_BCHW + self.mixture(gates_BE, h_BCHW), routing


class Adapters(nn.Module, ABC):
    """A ``RoutedAdapter`` for each of some sites of a network, and what they share.

    Attributes:
        sites: names of the modules after which they act.
        latest: the routing at each site in the latest forward pass with adapters.
        experts: the adapters; the network keeps its own parameter names.

    Args:
        top_k: gates of a router that are not zero; None for all.
        router_input: 't' if gates depend only on the time step, 't+content' if on the image too.
    """

    def __init__(self, top_k: int | None, router_input: str) -> None:
        super().__init__()
        self.top_k = top_k
        self.router_input = router_input
        self.latest: dict[str, Routing] = {}

    def place(self, adapters: Mapping[str, RoutedAdapter]) -> None:
        """Registers the adapter of each site."""
        self.sites = tuple(adapters)
        self.experts = nn.ModuleDict({expert_key(site): a for site, a in adapters.items()})

    @abstractmethod
    def time_input(self, t: Tensor) -> Tensor:
        """The routers' input for time steps (B,), one row per sample.

        Raises:
            ValueError: a step is not an integer in 0..T.
        """

    @abstractmethod
    def merged(self, t: int) -> dict[str, nn.Module]:
        """Each site's adapter, reduced to one time step.

        Raises:
            ValueError: adapters of this kind cannot be merged, or ``t`` is not in 0..T.
        """

    def adapt(self, site: str, time: Tensor, output: Tensor) -> tuple[Tensor, Routing]:
        """The output (B, C, H, W) of the module at ``site``, adapted, and its routing.

        Raises:
            ValueError: the output is no feature map with C channels and one sample per time step.
        """
        adapter = self.experts[expert_key(site)]
        shape, batch = tuple(getattr(output, 'shape', ())), time.shape[0]
        if len(shape) != 4 or shape[:2] != (batch, adapter.channels):
            raise ValueError(
                f'cannot adapt module {site!r}: its output has shape {shape}, but must be a '
                f'feature map ({batch}, {adapter.channels}, H, W): one sample per time step'
            )
        return adapter(time, output)

    def named_adapters(self) -> Iterator[tuple[str, RoutedAdapter]]:
        """Each site with its adapter, in the order of ``sites``."""
        for site, adapter in zip(self.sites, self.experts.values(), strict=True):
            assert isinstance(adapter, RoutedAdapter)
            yield site, adapter

    def routing(self, t: Tensor) -> Tensor:
        """The gates of every site at time steps (B,): (sites, B, E), in the order of ``sites``.

        Raises:
            ValueError: the gates depend on the image too (router_input='t+content').
        """
        if self.router_input == 't+content':
            raise ValueError(
                "with router_input='t+content' the gates depend on the image, not only on the time "
                "step: run images and read `latest`, or train MoEAdapters with router_input='t'"
            )
        time = self.time_input(t)
        return torch.stack([adapter.route(time)[1] for _, adapter in self.named_adapters()])

    @torch.no_grad()
    def dead_experts(self, t: Tensor) -> dict[str, list[int]]:
        """Each site's experts with gates below 0.1 / E at all steps (n,); see ``routing``."""
        gates = self.routing(t)
        dead = (gates < _DEAD_SHARE / gates.shape[2]).all(dim=1)
        experts = [row.nonzero()[:, 0].tolist() for row in dead]
        return dict(zip(self.sites, experts, strict=True))

    @property
    def routing_entropy(self) -> Tensor:
        """Mean over the sites of the latest routing's entropy, (), in nats."""
        return torch.stack([routing.entropy for routing in self._latest()]).mean()

    @property
    def balance_loss(self) -> Tensor:
        """Mean over the sites of the latest routing's balance loss, ()."""
        return torch.stack([routing.balance_loss for routing in self._latest()]).mean()

    def _latest(self) -> list[Routing]:
        if not self.latest:
            raise RuntimeError('the adapters have not routed anything: run a forward pass first')
        return [self.latest[site] for site in self.sites]

    def __getstate__(self) -> dict[str, Any]:
        """A copy has no latest routing: tensors inside a graph cannot be copied."""
        return self.__dict__ | {'latest': {}}


def expert_key(site: str) -> str:
    """The name of a site's adapter in ``experts``, where dots are not allowed."""
    return site.replace('.', '_')


def largest(probabilities_BE: Tensor, k: int) -> Tensor:
    """One at the k largest of each row, zero elsewhere: (B, E)."""
    return torch.zeros_like(probabilities_BE).scatter(1, probabilities_BE.topk(k).indices, 1.0)
