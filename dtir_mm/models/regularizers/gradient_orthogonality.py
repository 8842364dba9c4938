"""Gradient orthogonality: reconciling the generative and the restoration objective (Eq. 17 to 19).

For the gradients of samples, or of groups of them, s is the mean cosine between the two objectives,
d the mean cosine within each, and ``L = (1 - s) + |d|``: the paper's formula aligns the objectives,
and only makes gradients within each orthogonal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MODES = ('align', 'opl', 'conflict')
_BLOCK = 2**18  # values of each gradient that are stacked at a time


@dataclass(frozen=True)
class Orthogonality:
    """The loss, its cosines, and its derivatives with respect to the gradients.

    ``cross`` is s and ``within`` d of Eq. 17 and 18. Row a of ``weights`` (m, m), m = m_g + m_r,
    gives dL / dg_a as a combination of the m gradients, of which the generative ones come first.
    """

    loss: Tensor
    cross: Tensor
    within: Tensor
    weights: Tensor

    def differentiate_(self, gradients: Sequence[Tensor]) -> None:
        """Turns the loss's m gradients g_a (P,) into dL / dg_a, in place.

        Their Hessian-vector products sum to the loss's gradient.
        """
        for parts in _blocks(gradients):
            for part, derivative in zip(parts, self.weights @ torch.stack(parts), strict=True):
                part.copy_(derivative)


def orthogonality(
    generative: Sequence[Tensor],
    restoration: Sequence[Tensor],
    counts: tuple[int, int] | None = None,
    mode: str = 'align',
) -> Orthogonality:
    """Eq. 17 to 19 on the gradients of samples, or on the mean gradients of groups of samples.

    Args:
        generative: gradients of the generative objective, m_g >= 1 of (P,).
        restoration: gradients of the restoration objective, m_r >= 1 of (P,).
        counts: samples in each set, (n_g, n_r); None for (m_g, m_r). They weight the two sums of d
            by n (n - 1), as for single samples, so that d of groups estimates d of samples.
        mode: "align", ``(1 - s) + |d|``, the paper's; "opl", ``(1 - d) + |s|``, as in Orthogonal
            Projection Loss (Ranasinghe et al., 2021), which aligns gradients of the same kind;
            "conflict", ``max(-s, 0)``.

    Raises:
        ValueError: the mode is unknown.
    """
    if mode not in MODES:
        raise ValueError(f'mode={mode!r} of the orthogonality must be one of {MODES}')
    split, count = len(generative), len(generative) + len(restoration)
    products = generative[0].new_zeros(count, count)
    for block in map(torch.stack, _blocks([*generative, *restoration])):
        products += block @ block.T
    norms = products.diagonal().sqrt()
    inverse = torch.where(norms > 0, 1 / norms, 0)  # a zero gradient is orthogonal to everything
    cosines = (inverse[:, None] * products * inverse).requires_grad_()
    with torch.enable_grad():
        cross = cosines[:split, split:].mean()
        within = _within(
            cosines[:split, :split], cosines[split:, split:], counts or (split, len(restoration))
        )
        loss = {
            'align': lambda: (1 - cross) + within.abs(),
            'opl': lambda: (1 - within) + cross.abs(),
            'conflict': lambda: torch.relu(-cross),
        }[mode]()
        (by_cosine,) = torch.autograd.grad(loss, cosines)
    # d cos(a, b) / d g_a = (g_b / |g_b| - cos(a, b) g_a / |g_a|) / |g_a|
    by_cosine = by_cosine + by_cosine.T
    own = torch.diag((by_cosine * cosines.detach()).sum(dim=1) * inverse)
    weights = inverse[:, None] * (by_cosine * inverse - own)
    return Orthogonality(loss.detach(), cross.detach(), within.detach(), weights)


def _blocks(rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
    """Views of the same range of each row (P,), to avoid stacking rows as large as the network."""
    return zip(*(row.split(_BLOCK) for row in rows), strict=True)


def _within(generative: Tensor, restoration: Tensor, counts: tuple[int, int]) -> Tensor:
    """The mean cosine d of ordered pairs within each objective, without self-pairs."""
    weighted, pairs = generative.new_zeros(()), 0
    for cosines, n in zip((generative, restoration), counts, strict=True):
        m = len(cosines)
        if m > 1:
            mean = (cosines.sum() - cosines.diagonal().sum()) / (m * (m - 1))
            weighted, pairs = weighted + n * (n - 1) * mean, pairs + n * (n - 1)
    return weighted / max(pairs, 1)


def capped(gradient: Tensor, limit: Tensor) -> Tensor:
    """The gradient (P,), scaled down to a norm of at most ``limit``."""
    norm = gradient.norm()
    return gradient * (limit / norm) if norm > limit else gradient
