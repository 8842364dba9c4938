"""The reference backbone: a plain U-Net without time conditioning.

The paper only states that its network has "27.8M parameters" (Table 5); by default, so does this
one, in the shape of the IR-SDE U-Net that the paper builds on.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.registry import MODELS


class ResidualBlock(nn.Module):
    """``u + conv(SiLU(norm(conv(SiLU(norm(u))))))``, with a 1x1 convolution where widths differ."""

    def __init__(self, in_channels: int, out_channels: int, num_groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(num_groups, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(num_groups, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C_out, H, W)."""
        h = self.conv1(F.silu(self.norm1(u)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.shortcut(u) + h


class LinearAttention(nn.Module):
    """Residual self-attention whose cost is linear in the number of pixels (Shen et al., 2021)."""

    def __init__(self, channels: int, num_groups: int, num_heads: int = 4) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.GroupNorm(num_groups, channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.to_out = nn.Conv2d(channels, channels, 1)

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        batch, channels, height, width = u.shape
        qkv = self.to_qkv(self.norm(u)).reshape(batch, 3, self.num_heads, -1, height * width)
        query, key, value = qkv.unbind(1)
        context = key.softmax(-1) @ value.transpose(-1, -2)
        attended = context.transpose(-1, -2) @ query.softmax(-2)
        return u + self.to_out(attended.reshape(batch, channels, height, width))


@MODELS.register_module()
class DtirUNet(nn.Module):
    """U-Net, (B, 3, H, W) to (B, 3, H, W), without a skip from input to output.

    Args:
        width: channels of the first level; a multiple of ``num_groups``.
        channel_multipliers: width of each level as a multiple of ``width``; the last one belongs
            to the middle, which works at ``1 / 2 ** (levels - 1)`` of the resolution.
        blocks_per_level: residual blocks of each level above the middle, in both encoder and
            decoder. With the default, the conditioned network has 27.8 M parameters.
        middle_blocks: residual blocks in the middle.
        attention: add linear attention at the end of each level (the IR-SDE U-Net has it).
        num_groups: groups of every GroupNorm.
    """

    global_skip = False

    def __init__(
        self,
        width: int = 56,
        channel_multipliers: Sequence[int] = (1, 2, 4, 8),
        blocks_per_level: Sequence[int] = (3, 3, 6),
        middle_blocks: int = 3,
        attention: bool = True,
        num_groups: int = 8,
    ) -> None:
        super().__init__()
        if width % num_groups:
            raise ValueError(f'width={width} must be a multiple of num_groups={num_groups}')
        if len(blocks_per_level) != len(channel_multipliers) - 1:
            raise ValueError(
                f'blocks_per_level={tuple(blocks_per_level)} must have one entry for each level '
                f'above the middle: channel_multipliers={tuple(channel_multipliers)} make '
                f'{len(channel_multipliers) - 1}'
            )
        widths = [width * multiplier for multiplier in channel_multipliers]

        def level(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
            chain: list[nn.Module] = [
                ResidualBlock(in_channels if i == 0 else out_channels, out_channels, num_groups)
                for i in range(blocks)
            ]
            if attention:
                chain.append(LinearAttention(out_channels, num_groups))
            return nn.Sequential(*chain)

        self.size_multiple = 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.encoders = nn.ModuleList(
            level(w, w, blocks) for w, blocks in zip(widths[:-1], blocks_per_level, strict=True)
        )
        self.downs = nn.ModuleList(
            nn.Conv2d(w, deeper, 2, stride=2)
            for w, deeper in zip(widths[:-1], widths[1:], strict=True)
        )
        self.middle = level(widths[-1], widths[-1], middle_blocks)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(deeper, w, 2, stride=2)
            for w, deeper in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.decoders = nn.ModuleList(
            level(2 * w, w, blocks)
            for w, blocks in zip(widths[-2::-1], blocks_per_level[::-1], strict=True)
        )
        self.norm_out = nn.GroupNorm(num_groups, width)
        self.conv_out = nn.Conv2d(width, 3, 3, padding=1)

    def conditioning_groups(self) -> dict[str, list[str]]:
        """One group per residual block: FiLM follows its second norm (``tracing/trace.py``)."""
        return {
            name: [f'{name}.norm2']
            for name, module in self.named_modules()
            if isinstance(module, ResidualBlock)
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
            h = decoder(torch.cat([up(h), skips.pop()], dim=1))
        return self.conv_out(F.silu(self.norm_out(h)))
