"""Time steps as vectors."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.models.backbones.released_nafnet import SimpleGate
from dtir_mm.registry import MODELS


def sinusoid(t: Tensor, dim: int, max_period: float = 10_000.0, inclusive: bool = False) -> Tensor:
    """Sines and cosines of ``t`` at geometrically spaced frequencies: (B,) to (B, dim).

    The transformer's position code (Vaswani et al., 2017), as diffusion models use it for time.

    Args:
        t: time steps.
        dim: even; at least 4 where ``inclusive``.
        max_period: frequencies fall from 1 towards 1 / max_period.
        inclusive: the last frequency is 1 / max_period; otherwise one more would be.
    """
    ranks = torch.arange(dim // 2, device=t.device, dtype=t.dtype)
    frequencies = torch.exp(-math.log(max_period) * ranks / (dim // 2 - inclusive))
    phases = t[:, None] * frequencies
    return torch.cat([phases.sin(), phases.cos()], dim=1)


class TimeMLP(nn.Module):
    """``MLP(sinusoid(t))``, one vector for each sample.

    Args:
        dim: length of the vectors (128 by default; the paper does not say).
        sinusoid_dim: length of the position code; even.

    Raises:
        ValueError: ``sinusoid_dim`` is odd.
    """

    def __init__(self, dim: int = 128, sinusoid_dim: int = 64) -> None:
        super().__init__()
        if sinusoid_dim % 2:
            raise ValueError(f'sinusoid_dim={sinusoid_dim} must be even')
        self.dim = dim
        self.sinusoid_dim = sinusoid_dim
        self.mlp = nn.Sequential(nn.Linear(sinusoid_dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t: Tensor) -> Tensor:
        """Time steps (B,), integers or real numbers in 0..T, to (B, dim)."""
        return self.mlp(sinusoid(t.to(self.mlp[0].weight.dtype), self.sinusoid_dim))


@MODELS.register_module()
class TimeEmbedding(TimeMLP):
    """``e = SiLU(MLP(sinusoid(t)))``, (B, dim), in which every FiLM layer is linear."""

    def forward(self, t: Tensor) -> Tensor:
        """Time steps (B,), integers or real numbers in 0..T, to (B, dim)."""
        return F.silu(super().forward(t))


@MODELS.register_module()
class GatedTimeEmbedding(nn.Module):
    """The released code's: ``e = gate(W gate(V sinusoid(t) + b) + c)``, (B, dim).

    A gate multiplies the two halves of a vector. The frequencies of the sinusoid include the last.

    Args:
        dim: length of e; the vectors before the two gates have 2 and 4 times as many values.
        sinusoid_dim: length of the position code; even, and at least 4.

    Raises:
        ValueError: ``sinusoid_dim`` is odd or less than 4.
    """

    def __init__(self, dim: int = 96, sinusoid_dim: int = 48) -> None:
        super().__init__()
        if sinusoid_dim % 2 or sinusoid_dim < 4:
            raise ValueError(f'sinusoid_dim={sinusoid_dim} must be even and at least 4')
        self.dim = dim
        self.sinusoid_dim = sinusoid_dim
        self.mlp = nn.Sequential(
            nn.Linear(sinusoid_dim, 4 * dim),
            SimpleGate(),
            nn.Linear(2 * dim, 2 * dim),
            SimpleGate(),
        )

    def forward(self, t: Tensor) -> Tensor:
        """Time steps (B,), integers or real numbers in 0..T, to (B, dim)."""
        t = t.to(self.mlp[0].weight.dtype)
        return self.mlp(sinusoid(t, self.sinusoid_dim, inclusive=True))
