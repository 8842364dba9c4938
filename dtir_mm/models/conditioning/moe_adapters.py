"""Adapters behind the stages of encoder and middle, all routed by one prompt (method.md 4.2)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dtir_mm.models.conditioning.adapter_sites import encoder_and_middle
from dtir_mm.models.conditioning.adapters import Adapters
from dtir_mm.models.conditioning.low_rank_adapter import LowRankAdapter, MergedAdapter, router_width
from dtir_mm.models.conditioning.time_prompt import TimePrompt
from dtir_mm.registry import MODELS


@MODELS.register_module()
class MoEAdapters(Adapters):
    """One ``LowRankAdapter`` behind each site of a network; all have the same rank.

    Args:
        net: the network; it runs once on an image without time, before time is attached to it.
        num_experts: E, experts a site.
        param_budget: parameters of all this, prompt and routers too; the rank that comes closest
            is taken. The default is the paper's +1.8 M (Table 5).
        num_steps: T, the largest time step.
        prompt_dim: length of the prompt.
        top_k, router_input, mix: see ``LowRankAdapter``.
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
        super().__init__(top_k, router_input)
        channels = encoder_and_middle(net, sites)
        self.prompt = TimePrompt(num_steps, prompt_dim)
        routers = [router_width(c, prompt_dim, router_input) + 1 for c in channels.values()]
        prompt_size = sum(parameter.numel() for parameter in self.prompt.parameters())
        self.rank = _rank(
            param_budget,
            fixed=prompt_size + num_experts * sum(routers),
            per_rank=num_experts * sum(2 * c + 9 for c in channels.values()),
        )
        same = (self.rank, num_experts, prompt_dim, top_k, router_input, mix)
        self.attach(net, {site: LowRankAdapter(c, *same) for site, c in channels.items()})

    def tell(self, t: Tensor) -> Tensor:
        """The prompts (B, D) of time steps (B,).

        Raises:
            ValueError: a step lies outside 0..T.
        """
        return self.prompt(t)

    def merged(self, t: int) -> dict[str, MergedAdapter]:
        """What is left of each site's adapter at one time step: three convolutions.

        Raises:
            ValueError: the adapters cannot be merged (``LowRankAdapter.merged``), or t is not in
                0..T.
        """
        with torch.no_grad():
            prompt = self.prompt(torch.tensor([t], device=self.prompt.table.device))[0]
        return {site: adapter.merged(prompt) for site, adapter in self.named_adapters()}


def _rank(param_budget: int, fixed: int, per_rank: int) -> int:
    """The rank at which ``fixed + rank * per_rank`` parameters come closest to the budget."""
    if param_budget < fixed + per_rank:
        raise ValueError(
            f'param_budget={param_budget} is too small for these sites and experts: it must be at '
            f'least {fixed + per_rank}, which gives rank 1'
        )
    return round((param_budget - fixed) / per_rank)
