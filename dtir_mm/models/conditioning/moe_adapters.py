"""Low-rank convolutional experts after the stages of encoder and middle, routed by the time step.

The paper draws the adapters (Fig. 6(d)) without an equation. Here one adds to a feature map

    h + sum_e pi_e E_e(h),   E_e(h) = U_e GELU(DW_e (D_e h)),   pi = softmax(W p + b),

for a prompt p of the time step, which all sites share. D_e and U_e are 1x1 convolutions, DW_e is a
depthwise 3x3 one. U is zero at initialisation, so that a new adapter changes nothing; D and DW are
random, so that the experts differ.

Suffixes of names give shapes: B batch, E experts, C channels, R rank, D prompt, H and W pixels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.models.conditioning.adapters import Adapters, RoutedAdapter, largest
from dtir_mm.models.conditioning.time_embedding import TimePrompt
from dtir_mm.models.tracing.sites import channels_at, encoder_and_middle
from dtir_mm.models.tracing.trace import NetworkTrace
from dtir_mm.registry import MODELS


class MergedAdapter(nn.Module):
    """``h + U GELU(DW (D h))``: an adapter reduced to one time step.

    Args:
        down_RC: D.
        depthwise_R33: DW.
        up_CR: U.
    """

    def __init__(self, down_RC: Tensor, depthwise_R33: Tensor, up_CR: Tensor) -> None:
        super().__init__()
        rank, channels = down_RC.shape
        with torch.device('meta'):  # draws no weights
            self.down = nn.Conv2d(channels, rank, 1, bias=False)
            self.depthwise = nn.Conv2d(rank, rank, 3, padding=1, groups=rank, bias=False)
            self.up = nn.Conv2d(rank, channels, 1, bias=False)
        self.down.weight = nn.Parameter(down_RC[:, :, None, None])
        self.depthwise.weight = nn.Parameter(depthwise_R33[:, None])
        self.up.weight = nn.Parameter(up_CR[:, :, None, None])

    def forward(self, h_BCHW: Tensor) -> Tensor:
        """A feature map (B, C, H, W) to one of the same shape."""
        return h_BCHW + self.up(F.gelu(self.depthwise(self.down(h_BCHW))))


class LowRankAdapter(RoutedAdapter):
    """The experts after one module of a network, and their router.

    Args:
        channels: C, of the module's output.
        rank: R, channels inside an expert.
        num_experts: E.
        prompt_dim: D, length of the prompt.
        top_k: keep only the k largest gates, renormalised to sum to one; None keeps all.
        router_input: 't' routes by the prompt only; 't+content' by the prompt and the channels'
            means over the feature map, which distinguishes images at one time step.
        mix: 'weight' mixes the weights of the experts into one adapter per sample, or a single one
            at a fixed t (``merged``); 'output' runs every expert and mixes their outputs.

    Raises:
        ValueError: ``top_k`` is not in 1..E, or another argument is none of its values.
    """

    def __init__(
        self,
        channels: int,
        rank: int,
        num_experts: int,
        prompt_dim: int,
        top_k: int | None = None,
        router_input: str = 't',
        mix: str = 'weight',
    ) -> None:
        super().__init__(channels, top_k)
        if top_k is not None and not 1 <= top_k <= num_experts:
            raise ValueError(f'top_k={top_k} must be None or in 1..{num_experts} (num_experts)')
        if router_input not in ('t', 't+content'):
            raise ValueError(f"router_input={router_input!r} must be 't' or 't+content'")
        if mix not in ('weight', 'output'):
            raise ValueError(f"mix={mix!r} must be 'weight' or 'output'")
        self.router_input = router_input
        self.mix = mix
        self.down_ERC = nn.Parameter(torch.empty(num_experts, rank, channels))
        self.depthwise_ER33 = nn.Parameter(torch.empty(num_experts, rank, 3, 3))
        self.up_ECR = nn.Parameter(torch.zeros(num_experts, channels, rank))
        for expert in (*self.down_ERC, *self.depthwise_ER33):
            nn.init.kaiming_uniform_(expert)
        self.router = nn.Linear(_router_width(channels, prompt_dim, router_input), num_experts)

    def route(self, time: Tensor, h_BCHW: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See ``RoutedAdapter``: by prompts (B, D)."""
        if self.router_input == 't+content':
            assert h_BCHW is not None
            time = torch.cat([time, h_BCHW.mean((2, 3))], dim=1)
        probabilities_BE = self.router(time).softmax(dim=1)
        if self.top_k is None:
            return probabilities_BE, probabilities_BE
        kept_BE = probabilities_BE * largest(probabilities_BE, self.top_k)
        return probabilities_BE, kept_BE / kept_BE.sum(dim=1, keepdim=True)

    def merged(self, prompt_D: Tensor) -> MergedAdapter:
        """Three convolutions that equal the adapter for one prompt (D,).

        Raises:
            ValueError: with mix='output' or router_input='t+content' there are none.
        """
        if self.mix == 'output':
            raise ValueError(
                "an adapter with mix='output' cannot be merged: the outputs of its experts are "
                "mixed after the GELU, which is not linear. Train with mix='weight'"
            )
        if self.router_input == 't+content':
            raise ValueError(
                "an adapter with router_input='t+content' cannot be merged: its gates depend on "
                "the content of each image. Train with router_input='t'"
            )
        with torch.no_grad():
            _, gates_1E = self.route(prompt_D[None])
            return MergedAdapter(*(weight[0] for weight in self._mix(gates_1E)))

    def mixture(self, gates_BE: Tensor, h_BCHW: Tensor) -> Tensor:
        """See ``RoutedAdapter``."""
        mixed = self._mixed_weights if self.mix == 'weight' else self._mixed_outputs
        return mixed(gates_BE, h_BCHW)

    def _mix(self, gates_BE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """D (B, R, C), DW (B, R, 3, 3) and U (B, C, R) of one adapter for each sample."""
        return (
            torch.einsum('be,erc->brc', gates_BE, self.down_ERC),
            torch.einsum('be,erij->brij', gates_BE, self.depthwise_ER33),
            torch.einsum('be,ecr->bcr', gates_BE, self.up_ECR),
        )

    def _mixed_weights(self, gates_BE: Tensor, h_BCHW: Tensor) -> Tensor:
        height, width = h_BCHW.shape[2:]
        down_BRC, depthwise_BR33, up_BCR = self._mix(gates_BE)
        low = (down_BRC @ h_BCHW.flatten(2)).reshape(1, -1, height, width)
        kernels = depthwise_BR33.flatten(0, 1)[:, None]
        low = F.gelu(F.conv2d(low, kernels, padding=1, groups=len(kernels)))
        return (up_BCR @ low.reshape(len(h_BCHW), -1, height * width)).reshape(h_BCHW.shape)

    def _mixed_outputs(self, gates_BE: Tensor, h_BCHW: Tensor) -> Tensor:
        """All experts side by side; U is linear, so its inputs can be weighted and summed."""
        kernels = self.depthwise_ER33.flatten(0, 1)[:, None]
        low = F.conv2d(h_BCHW, self.down_ERC.flatten(0, 1)[:, :, None, None])
        low = F.gelu(F.conv2d(low, kernels, padding=1, groups=len(kernels)))
        weighted = low * gates_BE.repeat_interleave(self.down_ERC.shape[1], dim=1)[:, :, None, None]
        up = self.up_ECR.transpose(0, 1).flatten(1)
        return F.conv2d(weighted, up[:, :, None, None])


@MODELS.register_module()
class MoEAdapters(Adapters):
    """One ``LowRankAdapter`` after each site of a network; all have the same rank.

    Args:
        trace: of the network; ``ConditionedBackbone`` passes it.
        num_experts: E, experts per site.
        param_budget: parameters in total, including prompt and routers, which determines the rank;
            the paper's +1.8 M by default (Table 5).
        num_steps: T, the largest time step.
        prompt_dim: length of the prompt.
        top_k, router_input, mix: see ``LowRankAdapter``.
        sites: names of modules that output feature maps; None for the stages of encoder and middle.

    Raises:
        ValueError: a site does not exist or outputs no feature map, there are no sites, or the
            budget is too small for rank 1.
    """

    def __init__(
        self,
        trace: NetworkTrace,
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
        channels = channels_at(trace, encoder_and_middle(trace) if sites is None else sites)
        self.prompt = TimePrompt(num_steps, prompt_dim)
        routers = [_router_width(c, prompt_dim, router_input) + 1 for c in channels.values()]
        prompt_size = sum(parameter.numel() for parameter in self.prompt.parameters())
        self.rank = _rank(
            param_budget,
            fixed=prompt_size + num_experts * sum(routers),
            per_rank=num_experts * sum(2 * c + 9 for c in channels.values()),
        )
        same = (self.rank, num_experts, prompt_dim, top_k, router_input, mix)
        self.place({site: LowRankAdapter(c, *same) for site, c in channels.items()})

    def time_input(self, t: Tensor) -> Tensor:
        """See ``Adapters``: the prompts (B, D)."""
        return self.prompt(t)

    def merged(self, t: int) -> dict[str, nn.Module]:
        """See ``Adapters`` and ``LowRankAdapter.merged``."""
        with torch.no_grad():
            prompt = self.prompt(torch.tensor([t], device=self.prompt.table.device))[0]
        return {
            site: adapter.merged(prompt)
            for site, adapter in self.named_adapters()
            if isinstance(adapter, LowRankAdapter)
        }


def _router_width(channels: int, prompt_dim: int, router_input: str) -> int:
    """Length of a router's input."""
    return prompt_dim + channels if router_input == 't+content' else prompt_dim


def _rank(param_budget: int, fixed: int, per_rank: int) -> int:
    """The rank at which ``fixed + rank * per_rank`` parameters come closest to the budget."""
    if param_budget < fixed + per_rank:
        raise ValueError(
            f'param_budget={param_budget} is too small for these sites and experts: it must be at '
            f'least {fixed + per_rank}, which gives rank 1'
        )
    return round((param_budget - fixed) / per_rank)
