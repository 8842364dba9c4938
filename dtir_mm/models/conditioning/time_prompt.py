"""Prompts that tell the routers of the adapters which time step a sample is at."""

import torch
from torch import Tensor, nn

from dtir_mm.models.conditioning.time_embedding import TimeMLP


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
        self.embedding = TimeMLP(dim)
        self.table = nn.Parameter(torch.zeros(num_steps + 1, dim))

    def forward(self, t: Tensor) -> Tensor:
        """Time steps (B,), integers in 0..T, to (B, dim).

        Raises:
            ValueError: a step lies outside 0..T or between two steps, where P has no row.
        """
        require_steps(t, self.num_steps)
        return self.embedding(t) + self.table[t]


def require_steps(t: Tensor, num_steps: int) -> None:
    """Raises ValueError unless time steps ``t`` are integers in 0..num_steps."""
    if t.is_floating_point() or not ((t >= 0) & (t <= num_steps)).all():
        raise ValueError(f't={t.tolist()} must be integers in 0..{num_steps}')
