"""A mixture of low-rank convolutional experts, weighed by the time step (method.md 4.2).

The paper draws the adapters (Fig. 6(d)) without an equation. Here one adds to a feature map

    h + sum_e pi_e E_e(h),   E_e(h) = U_e GELU(DW_e (D_e h)),   pi = softmax(W p + b),

for a prompt p of the time step. D_e and U_e are 1x1 convolutions, DW_e is a depthwise 3x3 one. U is
zero at initialisation, so that a new adapter changes nothing; D and DW are random, so that the
experts differ.

Suffixes of names give shapes: B batch, E experts, C channels, R rank, D prompt, H and W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.models.conditioning.routed_adapter import RoutedAdapter, largest


class MergedAdapter(nn.Module):
    """``h + U GELU(DW (D h))``: what is left of an adapter at one time step.

    Args:
        down_RC: D, from the channels to the rank.
        depthwise_R33: DW, one kernel a channel of the rank.
        up_CR: U, from the rank back to the channels.
    """

    def __init__(self, down_RC: Tensor, depthwise_R33: Tensor, up_CR: Tensor) -> None:
        super().__init__()
        rank, channels = down_RC.shape
        plain = dict(bias=False, device='meta')  # the weights are given, none is drawn
        self.down = nn.Conv2d(channels, rank, 1, **plain)
        self.depthwise = nn.Conv2d(rank, rank, 3, padding=1, groups=rank, **plain)
        self.up = nn.Conv2d(rank, channels, 1, **plain)
        self.down.weight = nn.Parameter(down_RC[:, :, None, None])
        self.depthwise.weight = nn.Parameter(depthwise_R33[:, None])
        self.up.weight = nn.Parameter(up_CR[:, :, None, None])

    def forward(self, h_BCHW: Tensor) -> Tensor:
        """A feature map (B, C, H, W) to one of the same shape."""
        return h_BCHW + self.up(F.gelu(self.depthwise(self.down(h_BCHW))))


class LowRankAdapter(RoutedAdapter):
    """The experts behind one module of a network, and their router.

    Args:
        channels: C, of the module's output.
        rank: R, channels inside an expert.
        num_experts: E.
        prompt_dim: D, length of the prompt.
        top_k: keep only the k largest gates, renormalised to sum to one; None keeps all.
        router_input: 't' routes by the prompt alone; 't+content' by the prompt and the channels'
            means over the feature map, so that two images at one time step are told apart.
        mix: 'weight' mixes the weights of the experts, which leaves one adapter a sample, and one
            for all at a fixed t (``merged``); 'output' runs every expert and mixes their outputs.

    Raises:
        ValueError: ``top_k`` is not in 1..E, or another argument is none of its values.
    """

    def __init__(
        self,
        channels: int,
        rank: int,
        num_experts: int = 10,
        prompt_dim: int = 128,
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
        self.router = nn.Linear(router_width(channels, prompt_dim, router_input), num_experts)

    def route(self, prompt_BD: Tensor, h_BCHW: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The softmax over all experts (B, E), and the gates (B, E) that ``top_k`` leaves of it.

        Args:
            prompt_BD: prompts.
            h_BCHW: the feature map; needed for 't+content' only.
        """
        if self.router_input == 't+content':
            prompt_BD = torch.cat([prompt_BD, h_BCHW.mean((2, 3))], dim=1)
        probabilities_BE = self.router(prompt_BD).softmax(dim=1)
        if self.top_k is None:
            return probabilities_BE, probabilities_BE
        kept_BE = probabilities_BE * largest(probabilities_BE, self.top_k)
        return probabilities_BE, kept_BE / kept_BE.sum(dim=1, keepdim=True)

    def merged(self, prompt_D: Tensor) -> MergedAdapter:
        """Three convolutions that do for one prompt (D,) what the adapter does; their own weights.

        Raises:
            ValueError: no single adapter does, with mix='output' or router_input='t+content'.
        """
        if self.mix == 'output':
            raise ValueError(
                "an adapter with mix='output' cannot be merged: its experts' outputs are mixed "
                "behind the GELU, which is not linear. Train with mix='weight'"
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
        """All experts side by side; U is linear, so that its inputs can be weighed and summed."""
        kernels = self.depthwise_ER33.flatten(0, 1)[:, None]
        low = F.conv2d(h_BCHW, self.down_ERC.flatten(0, 1)[:, :, None, None])
        low = F.gelu(F.conv2d(low, kernels, padding=1, groups=len(kernels)))
        weighed = low * gates_BE.repeat_interleave(self.down_ERC.shape[1], dim=1)[:, :, None, None]
        up = self.up_ECR.transpose(0, 1).flatten(1)
        return F.conv2d(weighed, up[:, :, None, None])


def router_width(channels: int, prompt_dim: int, router_input: str) -> int:
    """Values that a router sees."""
    return prompt_dim + channels if router_input == 't+content' else prompt_dim
