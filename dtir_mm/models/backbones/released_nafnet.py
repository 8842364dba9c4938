"""NAFNet in the size and with the norms of the authors' released code, without any notion of time.

NAFNet (Chen et al., ECCV 2022) is a U-Net of residual blocks whose only nonlinearity is a product
of two halves of the channels. In the release (xin1u/EEDTP, ``networks/eedtp_arch.py``) norms have a
gain and no bias, there is no global skip, and FiLM follows both norms of a block, which
``ConditionedBackbone`` does here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dtir_mm.registry import MODELS


class SimpleGate(nn.Module):
    """The product of the two halves of the channels: (B, 2C, ...) to (B, C, ...)."""

    def forward(self, u: Tensor) -> Tensor:
        """The product of the halves."""
        first, second = u.chunk(2, dim=1)
        return first * second


class ChannelNorm(nn.Module):
    """Normalises each pixel over its C channels, then scales them: ``weight (u - mean) / std``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        # torch.var over channels takes several times as long as a mean of squares.
        centred = u - u.mean(1, keepdim=True)
        variance = centred.square().mean(1, keepdim=True)
        return centred * (variance + 1e-5).rsqrt() * self.weight[:, None, None]


class NAFBlock(nn.Module):
    """Depthwise convolution with channel attention, then pixel-wise layers; both residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.depthwise = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.gate = SimpleGate()
        self.attention = nn.Conv2d(channels, channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        self.norm2 = ChannelNorm(channels)
        self.widen_again = nn.Conv2d(channels, 2 * channels, 1)
        self.project_again = nn.Conv2d(channels, channels, 1)
        # A new block is the identity.
        self.scale1 = nn.Parameter(torch.zeros(channels, 1, 1))
        self.scale2 = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        h = self.gate(self.depthwise(self.widen(self.norm1(u))))
        h = h * self.attention(h.mean((2, 3), keepdim=True))
        u = u + self.scale1 * self.project(h)
        h = self.gate(self.widen_again(self.norm2(u)))
        return u + self.scale2 * self.project_again(h)


@MODELS.register_module()
class ReleasedNAFNet(nn.Module):
    """NAFNet, (B, 3, H, W) to (B, 3, H, W), without a skip from input to output.

    With the time conditioning of the release, the defaults have 68,284,275 parameters.

    Args:
        width: channels at full resolution; each of the levels below has twice as many.
        encoder_blocks: blocks of each level of the encoder.
        middle_blocks: blocks at the lowest resolution.
        decoder_blocks: blocks of each level of the decoder, from the lowest resolution on.

    Raises:
        ValueError: encoder and decoder differ in their number of levels.
    """

    global_skip = False

    def __init__(
        self,
        width: int = 48,
        encoder_blocks: Sequence[int] = (2, 2, 4, 28),
        middle_blocks: int = 6,
        decoder_blocks: Sequence[int] = (2, 2, 2, 2),
    ) -> None:
        super().__init__()
        if len(decoder_blocks) != len(encoder_blocks):
            raise ValueError(
                f'decoder_blocks={tuple(decoder_blocks)} must have one entry for each level of '
                f'encoder_blocks={tuple(encoder_blocks)}'
            )

        def level(channels: int, blocks: int) -> nn.Sequential:
            return nn.Sequential(*(NAFBlock(channels) for _ in range(blocks)))

        def up(channels: int) -> nn.Sequential:
            widen = nn.Conv2d(2 * channels, 4 * channels, 1, bias=False)
            return nn.Sequential(widen, nn.PixelShuffle(2))

        widths = [width * 2**i for i in range(len(encoder_blocks))]
        self.size_multiple = 2 ** len(widths)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.encoders = nn.ModuleList(map(level, widths, encoder_blocks))
        self.downs = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in widths)
        self.middle = level(2 * widths[-1], middle_blocks)
        self.ups = nn.ModuleList(up(w) for w in reversed(widths))
        self.decoders = nn.ModuleList(map(level, reversed(widths), decoder_blocks))
        self.conv_out = nn.Conv2d(width, 3, 3, padding=1)

    def conditioning_groups(self) -> dict[str, list[str]]:
        """One group per norm: FiLM follows both norms of each block (``tracing/trace.py``)."""
        return {
            name: [name] for name, module in self.named_modules() if isinstance(module, ChannelNorm)
        }

    def forward(self, u: Tensor) -> Tensor:
        """(B, 3, H, W) to the same shape, H and W multiples of the stride."""
        h = self.stem(u)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            h = encoder(h)
            skips.append(h)
            h = down(h)
        h = self.middle(h)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            h = decoder(up(h) + skips.pop())
        return self.conv_out(h)
