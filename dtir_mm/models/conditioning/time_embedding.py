"""Time steps as vectors, and the FiLM layers that condition a network on them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.models.backbones.released_nafnet import SimpleGate
from dtir_mm.registry import MODELS


def sinusoid(t: Tensor, dim: int, inclusive: bool = False) -> Tensor:
    """The positional encoding of transformers (Vaswani et al., 2017): (B,) to (B, dim).

    Args:
        t: time steps.
        dim: even; at least 4 if ``inclusive``.
        inclusive: frequencies fall from 1 to 1 / 10000; otherwise this one is excluded.
    """
    ranks = torch.arange(dim // 2, device=t.device, dtype=t.dtype)
    frequencies = torch.exp(-math.log(10_000) * ranks / (dim // 2 - inclusive))
    phases = t[:, None] * frequencies
    return torch.cat([phases.sin(), phases.cos()], dim=1)


class TimeMLP(nn.Module):
    """``MLP(sinusoid(t))``, one vector for each sample.

    Args:
        dim: length of the vectors; the paper does not state it.
        sinusoid_dim: length of the positional encoding; even.

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
        t = t.to(next(self.parameters()).dtype)
        return self.mlp(sinusoid(t, self.sinusoid_dim))


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
        sinusoid_dim: length of the positional encoding; even, and at least 4.

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
        t = t.to(next(self.parameters()).dtype)
        return self.mlp(sinusoid(t, self.sinusoid_dim, inclusive=True))


class TimePrompt(nn.Module):
    """``p = MLP(sinusoid(t)) + P[t]``: the prompts that the routers of adapters read.

    The MLP makes neighbouring steps similar; the table P, zero at initialisation, lets them differ.

    Args:
        num_steps: T, the largest time step.
        dim: length of p.
    """

    def __init__(self, num_steps: int, dim: int) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.embedding = TimeMLP(dim)
        self.table = nn.Parameter(torch.zeros(num_steps + 1, dim))

    def forward(self, t: Tensor) -> Tensor:
        """Time steps (B,), integers in 0..T, to (B, dim).

        Raises:
            ValueError: a step is not an integer in 0..T.
        """
        require_steps(t, self.num_steps)
        return self.embedding(t) + self.table[t]


def require_steps(t: Tensor, num_steps: int) -> None:
    """Raises ValueError unless time steps ``t`` are integers in 0..num_steps."""
    if t.is_floating_point() or not ((t >= 0) & (t <= num_steps)).all():
        raise ValueError(f't={t.tolist()} must be integers in 0..{num_steps}')


class FiLM(nn.Module):
    """Feature-wise linear modulation: scale and shift for the norms of one group.

    ``h = norm(u) * (1 + gamma(e)) + delta(e)``, with gamma and delta linear in the time embedding
    e. For a fixed t they fold into the norm's own scale and shift.

    Args:
        embedding_dim: length of e.
        channels: channels at every site of the group.
        neutral: gamma and delta are zero at initialisation, so that the network's output does not
            change; False for torch's initialisation of a linear layer, as in the released code.
    """

    def __init__(self, embedding_dim: int, channels: int, neutral: bool = True) -> None:
        super().__init__()
        self.channels = channels
        self.linear = nn.Linear(embedding_dim, 2 * channels)
        if neutral:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """1 + gamma and delta, (B, C) each, of time embeddings (B, D)."""
        gamma, delta = self.linear(embedding).chunk(2, dim=1)
        return 1 + gamma, delta


def modulate(site: str, axis: int, output: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The output of the module called ``site``, scaled and shifted by (B, C) values.

    The channels are at ``axis`` of the output.

    Raises:
        ValueError: the output has another batch size, for example one of windows.
    """
    if output.shape[0] != scale.shape[0]:
        raise ValueError(
            f'cannot condition module {site!r}: its output has batch {output.shape[0]}, but there '
            f'are {scale.shape[0]} time steps. Name other modules by conditioning=[...] of '
            f'ConditionedBackbone'
        )
    shape = [1] * output.ndim
    shape[0], shape[axis] = scale.shape
    return output * scale.reshape(shape) + shift.reshape(shape)
