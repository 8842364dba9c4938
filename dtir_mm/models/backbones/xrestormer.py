"""X-Restormer: a U-Net of transformer blocks with channel and spatial attention.

Chen et al., "A Comparative Study of Image Restoration Networks for General Backbone Network Design"
(ECCV 2024). Restormer's transposed attention mixes channels over the image; overlapping
cross-attention mixes pixels around a window. Parameters are named as in the published weights.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.registry import MODELS

_LEVELS = 4


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.LayerNorm(channels)

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return self.body(u.movedim(1, -1)).movedim(-1, 1)


class ChannelAttention(nn.Module):
    """Transposed attention: each channel of a head attends to the head's other channels.

    Queries and keys are whole channel maps of unit length, compared at a learnt temperature.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(
            3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False
        )
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        batch, channels, height, width = u.shape
        qkv = self.qkv_dwconv(self.qkv(u))
        qkv = qkv.reshape(batch, 3, self.num_heads, channels // self.num_heads, height * width)
        query, key, value = qkv.unbind(1)
        similarity = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-1, -2)
        attention = (similarity * self.temperature).softmax(-1)
        return self.project_out((attention @ value).reshape(u.shape))


class RelativePosition(nn.Module):
    """Logits for the offset of each key from a query, by row and by column.

    Keys are in a window of side ``key_size`` with the same centre as the window of queries.
    """

    offset: Tensor

    def __init__(self, window_size: int, key_size: int, head_channels: int) -> None:
        super().__init__()
        offsets = 2 * key_size - 1
        self.rel_height = nn.Parameter(torch.randn(offsets, head_channels) * head_channels**-0.5)
        self.rel_width = nn.Parameter(torch.randn(offsets, head_channels) * head_channels**-0.5)
        offset = torch.arange(key_size) - torch.arange(window_size)[:, None]
        self.register_buffer('offset', offset + key_size - 1, persistent=False)

    def forward(self, query: Tensor) -> Tensor:
        """Logits (..., S * S, K * K) of queries (..., S * S, C)."""
        window_size, key_size = self.offset.shape
        query = query.unflatten(-2, (window_size, window_size))
        by_row = torch.einsum('...xyc,xic->...xyi', query, self.rel_height[self.offset])
        by_column = torch.einsum('...xyc,yjc->...xyj', query, self.rel_width[self.offset])
        logits = by_row[..., :, None] + by_column[..., None, :]
        return logits.flatten(-2).flatten(-3, -2)


class OverlappingCrossAttention(nn.Module):
    """Pixels attend to their window and its surroundings, with zeros beyond the image's edge.

    Args:
        channels: of the input and the output.
        window_size: side of the windows, which tile the image.
        overlap_ratio: width of the surroundings, both sides together, as a fraction of a window.
        num_heads: attention heads.
        head_channels: channels of each head.

    Raises:
        ValueError: the surroundings are not an even number of pixels.
    """

    def __init__(
        self, channels: int, window_size: int, overlap_ratio: float, num_heads: int,
        head_channels: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.window_size = window_size
        self.key_size = window_size + int(window_size * overlap_ratio)
        if (self.key_size - window_size) % 2:
            raise ValueError(f'{overlap_ratio=} of {window_size=} must be an even number of pixels')
        self.num_heads = num_heads
        self.scale = head_channels**-0.5
        inner = num_heads * head_channels
        self.qkv = nn.Conv2d(channels, 3 * inner, 1, bias=False)
        self.project_out = nn.Conv2d(inner, channels, 1, bias=False)
        self.rel_pos_emb = RelativePosition(window_size, self.key_size, head_channels)

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        height, width = u.shape[-2:]
        query, key, value = self.qkv(u).chunk(3, dim=1)
        query = self._windows(query, self.window_size) * self.scale
        key, value = (self._windows(part, self.key_size) for part in (key, value))
        logits = query @ key.transpose(-1, -2) + self.rel_pos_emb(query)
        attended = (logits.softmax(-1) @ value).transpose(-1, -2)  # (B, W, heads, C, S * S)
        columns = attended.flatten(2, 4).transpose(1, 2)
        size = self.window_size
        return self.project_out(F.fold(columns, (height, width), size, stride=size))

    def _windows(self, u: Tensor, size: int) -> Tensor:
        """Pixels in squares of ``size`` around each of W windows: (B, W, heads, size * size, C)."""
        padding = (size - self.window_size) // 2
        columns = F.unfold(u, size, padding=padding, stride=self.window_size).transpose(1, 2)
        return columns.unflatten(2, (self.num_heads, -1, size * size)).transpose(-1, -2)


class FeedForward(nn.Module):
    """Two depthwise branches, of which one gates the other through GELU."""

    def __init__(self, channels: int, expansion: float) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        gate, value = self.dwconv(self.project_in(u)).chunk(2, dim=1)
        return self.project_out(F.gelu(gate) * value)


class TransformerBlock(nn.Module):
    """Channel attention, then spatial attention, each with a feed-forward part, all residual."""

    def __init__(
        self,
        channels: int,
        channel_heads: int,
        spatial_attention: OverlappingCrossAttention,
        expansion: float,
    ) -> None:
        super().__init__()
        self.spatial_attn = spatial_attention
        self.channel_attn = ChannelAttention(channels, channel_heads)
        self.norm1 = LayerNorm2d(channels)
        self.norm2 = LayerNorm2d(channels)
        self.norm3 = LayerNorm2d(channels)
        self.norm4 = LayerNorm2d(channels)
        self.channel_ffn = FeedForward(channels, expansion)
        self.spatial_ffn = FeedForward(channels, expansion)

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        u = u + self.channel_attn(self.norm1(u))
        u = u + self.channel_ffn(self.norm2(u))
        u = u + self.spatial_attn(self.norm3(u))
        return u + self.spatial_ffn(self.norm4(u))


class PatchEmbedding(nn.Module):
    """The first convolution, under the published name."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 3, padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H, W)."""
        return self.proj(image)


class Resize(nn.Module):
    """Half the size and twice the channels (``down``), or the other way round."""

    def __init__(self, channels: int, down: bool) -> None:
        super().__init__()
        convolved = channels // 2 if down else 2 * channels
        shuffle = nn.PixelUnshuffle(2) if down else nn.PixelShuffle(2)
        convolution = nn.Conv2d(channels, convolved, 3, padding=1, bias=False)
        self.body = nn.Sequential(convolution, shuffle)

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 2 C, H / 2, W / 2), or to (B, C / 2, 2 H, 2 W)."""
        return self.body(u)


@MODELS.register_module()
class XRestormer(nn.Module):
    """X-Restormer, (B, 3, H, W) to (B, 3, H, W), which adds its input to its output.

    The defaults are those of the published restoration networks
    (``options/train/005_xrestormer_dehaze.yml``): 26.04 M parameters.

    Args:
        dim: channels of the first level, which double at each level; even, and a multiple of the
            heads.
        num_blocks: transformer blocks of each level, in encoder and decoder alike; the last entry
            belongs to the middle.
        num_refinement_blocks: blocks after the decoder, at full resolution.
        channel_heads: heads of the channel attention of each level.
        spatial_heads: heads of the spatial attention of each level.
        overlap_ratio: see ``OverlappingCrossAttention``.
        window_size: side of the windows of spatial attention, in pixels of their level.
        spatial_dim_head: channels of a head of the spatial attention.
        ffn_expansion_factor: hidden channels of the feed-forward parts, as a multiple.

    Raises:
        ValueError: a list does not have one entry per level, or windows cannot overlap like this.
    """

    global_skip = True

    def __init__(
        self,
        dim: int = 48,
        num_blocks: Sequence[int] = (2, 4, 4, 4),
        num_refinement_blocks: int = 4,
        channel_heads: Sequence[int] = (1, 2, 4, 8),
        spatial_heads: Sequence[int] = (1, 2, 4, 8),
        overlap_ratio: float = 0.5,
        window_size: int = 8,
        spatial_dim_head: int = 16,
        ffn_expansion_factor: float = 2.66,
    ) -> None:
        super().__init__()
        lists = dict(
            num_blocks=num_blocks, channel_heads=channel_heads, spatial_heads=spatial_heads
        )
        for name, values in lists.items():
            if len(values) != _LEVELS:
                raise ValueError(f'{name}={tuple(values)} must have one entry for each of 4 levels')

        def blocks(level: int, channels: int, count: int) -> nn.Sequential:
            def block() -> TransformerBlock:
                spatial = OverlappingCrossAttention(
                    channels, window_size, overlap_ratio, spatial_heads[level], spatial_dim_head
                )
                return TransformerBlock(
                    channels, channel_heads[level], spatial, ffn_expansion_factor
                )

            return nn.Sequential(*(block() for _ in range(count)))

        self.size_multiple = window_size * 2 ** (_LEVELS - 1)
        self.patch_embed = PatchEmbedding(dim)
        self.encoder_level1 = blocks(0, dim, num_blocks[0])
        self.down1_2 = Resize(dim, down=True)
        self.encoder_level2 = blocks(1, 2 * dim, num_blocks[1])
        self.down2_3 = Resize(2 * dim, down=True)
        self.encoder_level3 = blocks(2, 4 * dim, num_blocks[2])
        self.down3_4 = Resize(4 * dim, down=True)
        self.latent = blocks(3, 8 * dim, num_blocks[3])
        self.up4_3 = Resize(8 * dim, down=False)
        self.reduce_chan_level3 = nn.Conv2d(8 * dim, 4 * dim, 1, bias=False)
        self.decoder_level3 = blocks(2, 4 * dim, num_blocks[2])
        self.up3_2 = Resize(4 * dim, down=False)
        self.reduce_chan_level2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=False)
        self.decoder_level2 = blocks(1, 2 * dim, num_blocks[1])
        self.up2_1 = Resize(2 * dim, down=False)
        # Level 1 has no reduction: its decoder is twice as wide as its encoder.
        self.decoder_level1 = blocks(0, 2 * dim, num_blocks[0])
        self.refinement = blocks(0, 2 * dim, num_refinement_blocks)
        self.output = nn.Conv2d(2 * dim, 3, 3, padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to the same shape, H and W multiples of the stride."""
        skip1 = self.encoder_level1(self.patch_embed(image))
        skip2 = self.encoder_level2(self.down1_2(skip1))
        skip3 = self.encoder_level3(self.down2_3(skip2))
        h = self.up4_3(self.latent(self.down3_4(skip3)))
        h = self.decoder_level3(self.reduce_chan_level3(torch.cat([h, skip3], 1)))
        h = self.decoder_level2(self.reduce_chan_level2(torch.cat([self.up3_2(h), skip2], 1)))
        h = self.decoder_level1(torch.cat([self.up2_1(h), skip1], 1))
        return image + self.output(self.refinement(h))
