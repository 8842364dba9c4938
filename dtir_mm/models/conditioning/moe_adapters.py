"""Adapters behind the stages of a network, all routed by one prompt (method.md 4.2)."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from dtir_mm.models.backbones import depth
from dtir_mm.models.backbones.sites import is_affine_norm, stage_of
from dtir_mm.models.conditioning.moe_adapter import MergedAdapter, MoEAdapter, router_width
from dtir_mm.models.conditioning.time_prompt import TimePrompt

# An expert with less than a tenth of its share 1 / E gets less than a tenth of its gradient: it
# hardly learns, and the mixture would hardly miss it.
_DEAD_SHARE = 0.1


class MoEAdapters(nn.Module):
    """One ``MoEAdapter`` behind each site of a network, hooked onto it; all have the same rank.

    Adapters act between ``set_time(t)`` and ``set_time(None)``. The network keeps its own parameter
    names; the adapters' weights live here.

    Args:
        net: the network; it runs once on a picture without time, before time is attached to it.
        num_experts: E, experts a site.
        param_budget: parameters of all this, prompt and routers too; the rank that comes closest
            is taken. The default is the paper's +1.8 M (Table 5).
        num_steps: T, the largest time step.
        prompt_dim: length of the prompt.
        top_k, router_input, mix: see ``MoEAdapter``.
        sites: names of modules that give a feature map; None for the stages of encoder and middle.

    Raises:
        ValueError: a site does not exist or gives no feature map, there is no stage that does, or
            the budget does not even pay for rank 1.
    """

    def __init__(
        self,
        net: nn.Module,
        num_experts: int = 10,
        param_budget: int = 1_800_000,
        num_steps: int = 50,
        prompt_dim: int = 128,
        top_k: int | None = None,
        router_input: str = 't',
        mix: str = 'weight',
        sites: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        channels = _channels_of_sites(net, sites)
        self.sites = tuple(channels)
        self.top_k = top_k
        self.router_input = router_input
        self.prompt = TimePrompt(num_steps, prompt_dim)
        routers = [router_width(c, prompt_dim, router_input) + 1 for c in channels.values()]
        prompt_size = sum(parameter.numel() for parameter in self.prompt.parameters())
        self.rank = _rank(
            param_budget,
            fixed=prompt_size + num_experts * sum(routers),
            per_rank=num_experts * sum(2 * c + 9 for c in channels.values()),
        )
        self.experts = nn.ModuleDict()
        for site, c in channels.items():
            adapter = MoEAdapter(c, self.rank, num_experts, prompt_dim, top_k, router_input, mix)
            self.experts[site.replace('.', '_')] = adapter
            net.get_submodule(site).register_forward_hook(partial(adapter.adapt, site))

    def named_adapters(self) -> Iterator[tuple[str, MoEAdapter]]:
        """Each site with its adapter, in the order of ``sites``."""
        return zip(self.sites, self.experts.values(), strict=True)

    def set_time(self, t: Tensor | None) -> None:
        """Makes the adapters act for the steps (B,) of the forward that follows; None ends it.

        Raises:
            ValueError: a step lies outside 0..T.
        """
        prompt = None if t is None else self.prompt(t)
        for adapter in self.experts.values():
            adapter.set_time(prompt)

    def routing(self, t: Tensor) -> Tensor:
        """The gates of every site at time steps (B,): (sites, B, E), in the order of ``sites``.

        Raises:
            ValueError: the gates depend on the image too (router_input='t+content').
        """
        if self.router_input == 't+content':
            raise ValueError(
                "router_input='t+content' has no gates of a time step alone. Run images, and "
                "read each adapter's gates; or train with router_input='t'"
            )
        prompt = self.prompt(t)
        return torch.stack([adapter.route(prompt)[1] for adapter in self.experts.values()])

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

    def merged(self, t: int) -> dict[str, MergedAdapter]:
        """What is left of each site's adapter at one time step: three convolutions.

        Raises:
            ValueError: the adapters cannot be merged (``MoEAdapter.merged``), or t is not in 0..T.
        """
        with torch.no_grad():
            prompt = self.prompt(torch.tensor([t], device=self.prompt.table.device))[0]
        return {site: adapter.merged(prompt) for site, adapter in self.named_adapters()}

    @property
    def routing_entropy(self) -> Tensor:
        """Mean over the sites of the latest forward's routing entropy, (), in nats."""
        return torch.stack([a.routing_entropy for a in self.experts.values()]).mean()

    @property
    def balance_loss(self) -> Tensor:
        """Mean over the sites of the latest forward's balance loss, ()."""
        return torch.stack([a.balance_loss for a in self.experts.values()]).mean()


def _rank(param_budget: int, fixed: int, per_rank: int) -> int:
    """The rank at which ``fixed + rank * per_rank`` parameters come closest to the budget."""
    if param_budget < fixed + per_rank:
        raise ValueError(
            f'param_budget={param_budget} is too small for these sites and experts: it must be at '
            f'least {fixed + per_rank}, which gives rank 1'
        )
    return round((param_budget - fixed) / per_rank)


def _channels_of_sites(net: nn.Module, sites: Sequence[str] | None) -> dict[str, int]:
    """Channels at the sites that are named, or found."""
    maps = _feature_maps(net)
    if sites is None:
        sites = _encoder_and_middle(net, maps)
    outermost = [name for name in maps if not any(name.startswith(f'{m}.') for m in maps)]
    if not sites:
        raise ValueError(
            f'no stage of {type(net).__name__} gives a feature map (B, C, H, W). Name some of its '
            f'modules that do as sites: {outermost}, or parts of them'
        )
    for site in sites:
        if site not in maps:
            raise ValueError(
                f'site {site!r} is no module of {type(net).__name__} that has parameters and gives '
                f'a feature map (B, C, H, W). These do: {outermost}, and parts of them'
            )
    return {site: maps[site][1] for site in sites}


def _feature_maps(net: nn.Module) -> dict[str, torch.Size]:
    """Shapes (1, C, S, S) of what modules give for a square picture, in the order of execution.

    Modules without parameters are left out: they belong to no block.
    """
    maps: dict[str, torch.Size] = {}

    def note(name: str, module: nn.Module, inputs: tuple, output: object) -> None:
        # A square picture shows tokens in the layout (1, S, S, C) for what they are.
        if isinstance(output, Tensor) and output.ndim == 4:
            if output.shape[0] == 1 and output.shape[2] == output.shape[3]:
                maps.setdefault(name, output.shape)

    handles = [
        module.register_forward_hook(partial(note, name))
        for name, module in net.named_modules()
        if name and next(module.parameters(), None) is not None
    ]
    try:
        depth.execution_order(net)
    finally:
        for handle in handles:
            handle.remove()
    return maps


def _encoder_and_middle(net: nn.Module, maps: dict[str, torch.Size]) -> list[str]:
    """The stages up to the last one at the smallest resolution, in the order of execution.

    A lone norm or convolution (stem, head, change of resolution) is no stage.
    """
    named = dict(net.named_modules())
    norms = [name for name, module in named.items() if is_affine_norm(module)]
    convolutions = [name for name, module in named.items() if isinstance(module, nn.Conv2d)]
    candidates = {stage_of(net, name) for name in norms or convolutions}
    stages = [name for name in maps if name in candidates and depth.is_composite(named[name])]
    smallest = min((maps[name][2] for name in stages), default=0)
    while stages and maps[stages[-1]][2] > smallest:
        stages.pop()
    return stages
