"""Parameter importance: which weights pre-training relies on, and the penalty for changing them.

Eq. 3, 14 to 16 and 23 to 27, Alg. 6. The paper's formulas contradict each other; the default is the
source that it cites, PIGWM (docs/method.md). Vectors are flat, (P,), over K parameter tensors whose
sizes sum to P; omega is the importance of each weight and delta its distance from its anchor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FORMS = ('pigwm', 'eq16', 'eq26', 'diag2', 'elementwise', 'ewc', 'l2sp', 'none')

# value = a S + b S^2 of each tensor, S = sum omega |delta|, before its strength
_SUM_FORMS = {'pigwm': (0.5, 0.5), 'eq16': (1.0, 1.0), 'eq26': (1.0, 0.5)}
# value = a sum omega |delta| + b sum omega^2 delta^2
_ELEMENT_FORMS = {'diag2': (0.5, 0.5), 'elementwise': (1.0, 0.5)}


class RunningImportance:
    """Omega as the running mean of ``|gradient|`` over batches (Alg. 6, line 6).

    The gradients are those of a batch's mean loss, so that omega depends on the batch size.

    Args:
        mean: the mean so far, (P,), updated in place; None before the first batch.
        count: number of batches in it.
    """

    def __init__(self, mean: Tensor | None = None, count: int = 0) -> None:
        self.mean = mean
        self.count = count

    def update(self, values: Tensor) -> None:
        """Adds a batch's values, (P,): ``gradient.abs()`` for omega."""
        self.count += 1
        if self.mean is None:
            self.mean = values.clone()
        else:
            self.mean += (values - self.mean) / self.count


@dataclass(frozen=True)
class Penalty:
    """The value and gradient (P,) of a penalty, and its two sums over all tensors.

    ``first_order`` is sum_k S_k and ``second_order`` sum_k S_k^2, with
    ``S_k = sum_j omega_kj |delta_kj|``.
    """

    value: Tensor
    gradient: Tensor
    first_order: Tensor
    second_order: Tensor


def importance_penalty(
    delta: Tensor, omega: Tensor, strength: Tensor, sizes: Sequence[int], form: str = 'pigwm'
) -> Penalty:
    """The penalty for a change of weights by ``delta``, with its gradient in closed form.

    With lambda_k the strength of tensor k and ``S_k = sum_j omega_kj |delta_kj|``:

    =========== ============================================================================
    pigwm       sum_k lambda_k / 2 (S_k + S_k^2), PIGWM and Eq. 27: ``|d|^T I I^T |d|`` is S_k^2
    eq16        sum_k lambda_k (S_k + S_k^2), Eq. 16 as printed
    eq26        sum_k lambda_k (S_k + S_k^2 / 2), Eq. 26 as printed
    diag2       sum_k lambda_k / 2 sum_j ``(omega |d| + omega^2 d^2)``, Eq. 27 with a diagonal
    elementwise sum_k lambda_k sum_j ``(omega |d| + omega^2 d^2 / 2)``, Eq. 26 with a diagonal,
                as in the released code
    ewc         sum_k lambda_k / 2 sum_j omega d^2, omega being the Fisher diagonal
    l2sp        sum_k lambda_k / 2 sum_j d^2
    none        0
    =========== ============================================================================

    Args:
        delta: weights minus their anchor, (P,).
        omega: importance, (P,), at least 0.
        strength: lambda_k of each tensor, (K,).
        sizes: weights in each tensor.
        form: one of the above.

    Raises:
        ValueError: the form is unknown.
    """
    if form not in FORMS:
        raise ValueError(f'form={form!r} of the importance penalty must be one of {FORMS}')
    gradient = torch.empty_like(delta)
    values, totals = [], []
    # One tensor at a time, so that intermediate results stay in the cache.
    for d, w, strength_k, out in zip(
        *(vector.split(list(sizes)) for vector in (delta, omega)),
        strength,
        gradient.split(list(sizes)),
        strict=True,
    ):
        torch.mul(w, d.sign(), out=out)
        totals.append(out @ d)
        values.append(strength_k * _tensor_penalty(d, w, totals[-1], form, strength_k, out))
    sums = torch.stack(totals)
    return Penalty(torch.stack(values).sum(), gradient, sums.sum(), sums.square().sum())


def _tensor_penalty(
    delta: Tensor, omega: Tensor, total: Tensor, form: str, strength: Tensor, out: Tensor
) -> Tensor:
    """One tensor's penalty at strength 1; writes its gradient at ``strength`` to ``out``.

    On entry ``out`` is omega sign(delta), and ``total`` is sum omega |delta|.
    """
    if form in _SUM_FORMS:
        first, second = _SUM_FORMS[form]
        out.mul_(strength * (first + 2 * second * total))
        return first * total + second * total.square()
    if form in _ELEMENT_FORMS:
        first, second = _ELEMENT_FORMS[form]
        weighted = omega * delta
        out.mul_(first).addcmul_(omega, weighted, value=2 * second).mul_(strength)
        return first * total + second * weighted.square().sum()
    if form == 'none':
        out.zero_()
        return torch.zeros_like(total)
    torch.mul(omega if form == 'ewc' else torch.ones_like(omega), delta, out=out)
    value = 0.5 * (out @ delta)
    out.mul_(strength)
    return value
