"""Time steps as vectors."""

import math

import torch
from torch import Tensor, nn


def sinusoid(t: Tensor, dim: int, max_period: float = 10_000.0) -> Tensor:
    """Sines and cosines of ``t`` at geometrically spaced frequencies: (B,) to (B, dim).

    The transformer's position code (Vaswani et al., 2017), as diffusion models use it for time.
    """
    frequencies = torch.exp(
        -math.log(max_period) * torch.arange(dim // 2, device=t.device, dtype=t.dtype) / (dim // 2)
    )
    phases = t[:, None] * frequencies
    return torch.cat([phases.sin(), phases.cos()], dim=1)


class TimeEmbedding(nn.Module):
    """``e = MLP(sinusoid(t))``, one vector for each sample.

    Args:
        dim: length of e (128 by default; the paper does not say).
        sinusoid_dim: length of the position code; even.
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
