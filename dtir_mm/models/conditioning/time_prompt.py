"""Prompts that tell the routers of the adapters which time step a sample is at."""

import torch
from torch import Tensor, nn

from dtir_mm.models.conditioning.time_embedding import TimeEmbedding


class TimePrompt(nn.Module):
    """``p = MLP(sinusoid(t)) + P[t]``, one vector for each sample (method.md 4.2).

    The MLP makes neighbouring steps alike; the table P, zero at initialisation, lets the steps of
    single tasks differ all the same.

    Args:
        num_steps: T, the largest time step.
        dim: length of p.
    """

    def __init__(self, num_steps: int, dim: int = 128) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.embedding = TimeEmbedding(dim)
        self.table = nn.Parameter(torch.zeros(num_steps + 1, dim))

    def forward(self, t: Tensor) -> Tensor:
        """Time steps (B,), integers in 0..T, to (B, dim).

        Raises:
            ValueError: a step lies outside 0..T or between two steps, where P has no row.
        """
        if t.is_floating_point() or not ((t >= 0) & (t <= self.num_steps)).all():
            raise ValueError(f't={t.tolist()} must be integers in 0..{self.num_steps}')
        return self.embedding(t) + self.table[t]
