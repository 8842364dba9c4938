"""A custom network for dtir_mm: maps images to images of the same size, without time steps."""

import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.registry import MODELS


class Block(nn.Module):
    """``u + conv(SiLU(conv(norm(u))))``; dtir_mm adds the time conditioning after the norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return u + self.conv2(F.silu(self.conv1(self.norm(u))))


@MODELS.register_module()
class PlainResNet(nn.Module):
    """Residual blocks at full resolution with a global skip: (B, 3, H, W) to (B, 3, H, W).

    Args:
        width: number of channels.
        depth: number of blocks.
    """

    def __init__(self, width: int = 24, depth: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.head = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return u + self.head(self.blocks(self.stem(u)))
