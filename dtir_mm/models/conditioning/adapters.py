"""The one interface of adapters of every kind, which backbone, objectives and hooks use."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from dtir_mm.models.conditioning.routed_adapter import RoutedAdapter

# An expert with less than a tenth of its share 1 / E gets less than a tenth of its gradient: it
# hardly learns, and the mixture would hardly miss it.
_DEAD_SHARE = 0.1


class Adapters(nn.Module, ABC):
    """A ``RoutedAdapter`` behind each of some sites of a network, hooked onto it.

    They act between ``set_time(t)`` and ``set_time(None)``. The network keeps its own parameter
    names; the adapters' weights live here, at ``experts``.

    Args:
        top_k: gates of a router that are not zero; None for all.
        router_input: 't' if gates depend on the time step alone, 't+content' if on the image too.
    """

    def __init__(self, top_k: int | None, router_input: str) -> None:
        super().__init__()
        self.top_k = top_k
        self.router_input = router_input

    def attach(self, net: nn.Module, adapters: Mapping[str, RoutedAdapter]) -> None:
        """Hooks an adapter behind each of the modules of ``net`` that are named."""
        self.sites = tuple(adapters)
        self.experts = nn.ModuleDict()
        for site, adapter in adapters.items():
            self.experts[site.replace('.', '_')] = adapter
            net.get_submodule(site).register_forward_hook(partial(adapter.adapt, site))

    @abstractmethod
    def tell(self, t: Tensor) -> Tensor:
        """What the adapters are told of time steps (B,), a row a sample.

        Raises:
            ValueError: a step is none of those that they know.
        """

    @abstractmethod
    def merged(self, t: int) -> dict[str, nn.Module]:
        """What is left of each site's adapter at one time step.

        Raises:
            ValueError: adapters of this kind cannot be merged, or ``t`` is not in 0..T.
        """

    def named_adapters(self) -> Iterator[tuple[str, RoutedAdapter]]:
        """Each site with its adapter, in the order of ``sites``."""
        return zip(self.sites, self.experts.values(), strict=True)

    def set_time(self, t: Tensor | None) -> None:
        """Makes the adapters act for the steps (B,) of the forward that follows; None ends it.

        Raises:
            ValueError: see ``tell``.
        """
        told = None if t is None else self.tell(t)
        for adapter in self.experts.values():
            adapter.set_time(told)

    def routing(self, t: Tensor) -> Tensor:
        """The gates of every site at time steps (B,): (sites, B, E), in the order of ``sites``.

        Raises:
            ValueError: the gates depend on the image too (router_input='t+content').
        """
        if self.router_input == 't+content':
            raise ValueError(
                "router_input='t+content' has no gates of a time step alone. Run images, and "
                "read each adapter's gates; or train MoEAdapters with router_input='t'"
            )
        told = self.tell(t)
        return torch.stack([adapter.route(told)[1] for adapter in self.experts.values()])

    @torch.no_grad()
    def dead_experts(self, t: Tensor) -> dict[str, list[int]]:
        """For each site the experts that get under a tenth of 1 / E at every one of the steps (n,).

        Raises:
            ValueError: the gates depend on the image too (router_input='t+content').
        """
        gates = self.routing(t)
        dead = (gates < _DEAD_SHARE / gates.shape[2]).all(dim=1)
        experts = [row.nonzero()[:, 0].tolist() for row in dead]
        return dict(zip(self.sites, experts, strict=True))

    @property
    def routing_entropy(self) -> Tensor:
        """Mean over the sites of the latest forward's routing entropy, (), in nats."""
        return torch.stack([a.routing_entropy for a in self.experts.values()]).mean()

    @property
    def balance_loss(self) -> Tensor:
        """Mean over the sites of the latest forward's balance loss, ()."""
        return torch.stack([a.balance_loss for a in self.experts.values()]).mean()
