"""A U-Net for restoration whose output at a pixel depends on its surroundings alone.

It avoids artefacts of other U-Nets that are visible in restored photographs:

- grid patterns: strided transposed convolutions, and pixel shuffles, have different weights for
  each of four phases; here a 1 x 1 convolution is followed by bilinear interpolation;
- bright lines at the border, from zero padding: here each level is padded by reflection;
- seams between tiles, and colours that depend on the size of the image, from GroupNorm and global
  pooling: here each pixel is normalised over its channels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.registry import MODELS


class PixelNorm(nn.Module):
    """Normalises each pixel over its channels, with a gain and an offset per channel.

    Args:
        channels: C, of the input (B, C, H, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        # In the memory format channels_last this is contiguous, and layer_norm one fused kernel.
        last = u.permute(0, 2, 3, 1)
        # Under autocast u is bf16, and layer_norm takes no parameters of another type.
        weight, bias = self.weight.to(u.dtype), self.bias.to(u.dtype)
        return F.layer_norm(last, last.shape[-1:], weight, bias).permute(0, 3, 1, 2)


class LocalBlock(nn.Module):
    """``u + conv(SiLU(conv(norm(u))))``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.conv1 = _convolution(channels, channels)
        self.conv2 = _convolution(channels, channels)

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return u + self.conv2(F.silu(self.conv1(self.norm(u))))


@MODELS.register_module()
class LocalUNet(nn.Module):
    """U-Net, (B, 3, H, W) to the residual of the same shape, which is zero at initialisation.

    With the default arguments an output pixel depends on the input up to 172 pixels away.

    Args:
        widths: channels of each level; the last one belongs to the middle, which works at
            ``1 / 2 ** (levels - 1)`` of the resolution.
        encoder_blocks: residual blocks of each level above the middle, in the encoder.
        decoder_blocks: the same in the decoder, also from the first level to the last.
        middle_blocks: residual blocks in the middle.

    Raises:
        ValueError: a number of blocks is missing, or there is one too many.
    """

    global_skip = False

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 96, 128, 128),
        encoder_blocks: Sequence[int] = (1, 1, 1, 1),
        decoder_blocks: Sequence[int] = (1, 1, 1, 2),
        middle_blocks: int = 2,
    ) -> None:
        super().__init__()
        for name, blocks in (('encoder', encoder_blocks), ('decoder', decoder_blocks)):
            if len(blocks) != len(widths) - 1:
                raise ValueError(
                    f'{name}_blocks={tuple(blocks)} must have one entry for each level above the '
                    f'middle: widths={tuple(widths)} make {len(widths) - 1}'
                )
        self.size_multiple = 2 ** (len(widths) - 1)
        self.size_minimum = 2 * self.size_multiple  # reflection needs two pixels in the middle
        upper = widths[:-1]
        pairs = list(zip(upper, widths[1:], strict=True))
        self.stem = _convolution(3, widths[0])
        self.encoders = nn.ModuleList(map(_level, upper, encoder_blocks))
        self.downs = nn.ModuleList(nn.Conv2d(w, deeper, 2, stride=2) for w, deeper in pairs)
        self.middle = _level(widths[-1], middle_blocks)
        self.ups = nn.ModuleList(nn.Conv2d(deeper, w, 1) for w, deeper in pairs)
        self.merges = nn.ModuleList(nn.Conv2d(2 * w, w, 1) for w in upper)
        self.decoders = nn.ModuleList(map(_level, upper, decoder_blocks))
        self.conv_out = _convolution(widths[0], 3)
        nn.init.zeros_(self.conv_out.weight)
        assert self.conv_out.bias is not None
        nn.init.zeros_(self.conv_out.bias)

    def conditioning_groups(self) -> dict[str, list[str]]:
        """One group per residual block: FiLM follows its norm (``tracing/trace.py``)."""
        return {
            name: [f'{name}.norm']
            for name, module in self.named_modules()
            if isinstance(module, LocalBlock)
        }

    def forward(self, u: Tensor) -> Tensor:
        """(B, 3, H, W) to the same shape, H and W multiples of the stride."""
        h = self.stem(u.contiguous(memory_format=torch.channels_last))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            h = encoder(h)
            skips.append(h)
            h = down(h)
        h = self.middle(h)
        for level in reversed(range(len(skips))):
            up = F.interpolate(self.ups[level](h), scale_factor=2, mode='bilinear')
            h = self.decoders[level](self.merges[level](torch.cat([up, skips[level]], dim=1)))
        return self.conv_out(h)


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode='reflect')


def _level(channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(LocalBlock(channels) for _ in range(blocks)))
