"""The adapters of the authors' released code: after the decoder's stages, routed by the features.

After each stage (xin1u/EEDTP, ``networks/moe_adapter.py``) a feature map h becomes

    h + s sum_e pi_e E_e(h),   pi = softmax(W GELU(V [mean(h), p_t] + b) + c),

with E_e = conv1x1 GELU conv3x3 GELU conv3x3, a row p_t of a table for each time step, and a scalar
s that is zero at initialisation, so that a new adapter changes nothing.

Suffixes of names give shapes: B batch, E experts, C channels, R inside an expert, H and W pixels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.models.conditioning.adapters import Adapters, RoutedAdapter
from dtir_mm.models.conditioning.time_embedding import require_steps
from dtir_mm.models.tracing.sites import channels_at, decoder
from dtir_mm.models.tracing.trace import NetworkTrace
from dtir_mm.registry import MODELS

_REDUCTION = 4
_SMALLEST = 16


class DecoderAdapter(RoutedAdapter):
    """The experts after one module of a network, and their router.

    All experts are computed side by side, as groups of channels. The last convolution of each is
    linear, so its inputs, not its outputs, are weighted by the gates and summed.

    Args:
        channels: C, of the module's output; an expert has R = max(C / 4, 16) inside.
        num_experts: E.
        num_steps: T, the largest time step.
    """

    def __init__(self, channels: int, num_experts: int, num_steps: int) -> None:
        super().__init__(channels)
        inside = max(channels // _REDUCTION, _SMALLEST)
        self.num_experts = num_experts
        self.down = nn.Conv2d(channels, num_experts * inside, 3, padding=1)
        self.across = nn.Conv2d(
            num_experts * inside, num_experts * inside, 3, padding=1, groups=num_experts
        )
        self.up = nn.Conv2d(num_experts * inside, num_experts * channels, 1, groups=num_experts)
        self.steps = nn.Embedding(num_steps + 1, channels)
        self.router = nn.Sequential(
            nn.Linear(2 * channels, channels), nn.GELU(), nn.Linear(channels, num_experts)
        )
        self.scale = nn.Parameter(torch.zeros(1))

    def route(self, time: Tensor, h_BCHW: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See ``RoutedAdapter``: gates and softmax are the same."""
        assert h_BCHW is not None
        seen = torch.cat([h_BCHW.mean((2, 3)), self.steps(time)], dim=1)
        probabilities_BE = self.router(seen).softmax(dim=1)
        return probabilities_BE, probabilities_BE

    def mixture(self, gates_BE: Tensor, h_BCHW: Tensor) -> Tensor:
        """See ``RoutedAdapter``."""
        low = F.gelu(self.across(F.gelu(self.down(h_BCHW))))
        weighted = low.unflatten(1, (self.num_experts, -1)) * gates_BE[:, :, None, None, None]
        up_ECR = self.up.weight.reshape(self.num_experts, self.channels, -1)
        up_CER = up_ECR.transpose(0, 1)
        assert self.up.bias is not None
        bias_BC = gates_BE @ self.up.bias.reshape(self.num_experts, self.channels)
        mixed = F.conv2d(weighted.flatten(1, 2), up_CER.flatten(1)[:, :, None, None])
        return self.scale * (mixed + bias_BC[:, :, None, None])


@MODELS.register_module()
class DecoderAdapters(Adapters):
    """One ``DecoderAdapter`` after each site of a network.

    Args:
        trace: of the network; ``ConditionedBackbone`` passes it.
        num_experts: E, experts per site.
        num_steps: T, the largest time step.
        sites: names of modules that output feature maps; None for the stages of the decoder.

    Raises:
        ValueError: a site does not exist or outputs no feature map, or there are no sites.
    """

    def __init__(
        self,
        trace: NetworkTrace,
        num_experts: int = 10,
        num_steps: int = 50,
        sites: Sequence[str] | None = None,
    ) -> None:
        super().__init__(top_k=None, router_input='t+content')
        self.num_steps = num_steps
        channels = channels_at(trace, decoder(trace) if sites is None else sites)
        self.place(
            {site: DecoderAdapter(c, num_experts, num_steps) for site, c in channels.items()}
        )

    def time_input(self, t: Tensor) -> Tensor:
        """See ``Adapters``: the time steps (B,) themselves."""
        require_steps(t, self.num_steps)
        return t

    def merged(self, t: int) -> dict[str, nn.Module]:
        """Raises ValueError: they have no equivalent at one time step."""
        raise ValueError(
            'DecoderAdapters cannot be merged: their experts are not linear, and the gates depend '
            'on the content of each image. Restore with the checkpoint itself, or train '
            "MoEAdapters with router_input='t' and mix='weight'"
        )
