"""Cosines within and between two sets of gradients against plain loops and autograd."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dtir_mm.models.regularizers.gradient_orthogonality import Orthogonality, capped, orthogonality

MODES = ['align', 'opl', 'conflict']
SHAPES = [(1, 1), (1, 4), (2, 6), (3, 3)]


def rows(*values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def draw(m_g: int, m_r: int, size: int = 9, shared: float = 0.0) -> tuple[Tensor, Tensor]:
    """Two sets around a common direction of weight ``shared``, of lengths of several decades."""
    noise = torch.randn(m_g + m_r, size, dtype=torch.float64)
    noise = noise + shared * torch.randn(size, dtype=torch.float64)
    noise = noise * 10 ** (4 * torch.rand(m_g + m_r, 1, dtype=torch.float64) - 2)
    return noise[:m_g], noise[m_g:]


def pairs_of(gradients: Tensor) -> list[Tensor]:
    """The cosine of every ordered pair of two different rows."""
    m = len(gradients)
    return [
        F.cosine_similarity(gradients[i], gradients[k], dim=0)
        for i in range(m)
        for k in range(m)
        if i != k
    ]


def derivatives_of(
    result: Orthogonality, generative: Tensor, restoration: Tensor
) -> tuple[Tensor, Tensor]:
    """dL / dg_a of both sets, as rows."""
    rows_of_both = torch.cat([generative, restoration])
    result.differentiate_(rows_of_both)
    return rows_of_both[: len(generative)], rows_of_both[len(generative) :]


def reference(
    generative: Tensor, restoration: Tensor, counts: tuple[int, int] | None, mode: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, cross and within, pair by pair."""
    total = (generative.sum() + restoration.sum()) * 0
    s = total
    for g in generative:
        for r in restoration:
            s = s + F.cosine_similarity(g, r, dim=0) / (len(generative) * len(restoration))
    top, bottom = total, 0
    for gradients, n in zip((generative, restoration), counts or (None, None), strict=True):
        pairs = pairs_of(gradients)
        if pairs:
            weight = len(pairs) if n is None else n * (n - 1)
            top = top + weight * sum(pairs) / len(pairs)
            bottom += weight
    d = top / bottom if bottom else total
    if mode == 'align':
        return (1 - s) + d.abs(), s, d
    if mode == 'opl':
        return (1 - d) + s.abs(), s, d
    return torch.clamp(-s, min=0), s, d


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('counted', [False, True])
@pytest.mark.parametrize('sign', [1, -1])
def test_against_loops_and_autograd(mode, shape, counted, sign):
    """The sign makes the sets agree or conflict, so both branches of every mode are taken."""
    counts = tuple(m * 5 - i if m > 1 else 1 for i, m in enumerate(shape)) if counted else None
    generative, restoration = draw(*shape, shared=1.0)
    generative = sign * generative
    kept = generative.clone(), restoration.clone()
    result = orthogonality(generative, restoration, counts, mode)
    assert torch.equal(generative, kept[0]) and torch.equal(restoration, kept[1])

    variables = [gradients.clone().requires_grad_() for gradients in kept]
    loss, cross, within = reference(*variables, counts, mode)
    assert sign * cross > 0.05
    expected = torch.autograd.grad(loss, variables)
    loss, cross, within = loss.detach(), cross.detach(), within.detach()
    assert float(result.loss) == pytest.approx(float(loss), rel=1e-12, abs=1e-14)
    assert float(result.cross) == pytest.approx(float(cross), rel=1e-12)
    assert float(result.within) == pytest.approx(float(within), rel=1e-12)
    for got, value in zip(derivatives_of(result, *kept), expected, strict=True):
        scale = max(float(value.abs().max()), 1e-3)
        torch.testing.assert_close(got, value, rtol=1e-10, atol=1e-12 * scale)


@pytest.mark.parametrize('mode', ['align', 'opl'])
def test_both_signs_of_within(mode):
    """|d| of opposing rows, where its derivative changes sign."""
    generative = rows([1, 0.2, 0], [-1, 0.1, 0.3])
    restoration = rows([0.3, 1, 0.1], [0.1, -1, 0.2], [0.2, 0.1, -1])
    variables = [gradients.clone().requires_grad_() for gradients in (generative, restoration)]
    loss, _, within = reference(*variables, (8, 3), mode)
    assert within < -0.1
    expected = torch.autograd.grad(loss, variables)
    result = orthogonality(generative, restoration, (8, 3), mode)
    assert float(result.loss) == pytest.approx(float(loss.detach()), rel=1e-12)
    for got, value in zip(derivatives_of(result, generative, restoration), expected, strict=True):
        torch.testing.assert_close(got, value, rtol=1e-10, atol=1e-13)


def test_values_by_hand():
    """Two perpendicular rows against two parallel ones, along the first; then their opposites."""
    generative, restoration = rows([3, 0], [0, 2]), rows([1, 0], [5, 0])
    # s: 1, 1, 0, 0. d: 0, 0 of one set and 1, 1 of the other.
    for mode, loss in (('align', 0.5 + 0.5), ('opl', 0.5 + 0.5), ('conflict', 0.0)):
        result = orthogonality(generative, restoration, mode=mode)
        assert [float(x) for x in (result.cross, result.within, result.loss)] == [0.5, 0.5, loss]
    for mode, loss in (('align', 1.5 + 0.5), ('opl', 0.5 + 0.5), ('conflict', 0.5)):
        result = orthogonality(generative, -restoration, mode=mode)
        assert [float(x) for x in (result.cross, result.within, result.loss)] == [-0.5, 0.5, loss]

    # The derivative of -s by a row: -1/4 of what the others' unit vectors have across it.
    result = orthogonality(generative, -restoration, mode='conflict')
    by_generative, by_restoration = derivatives_of(result, generative, -restoration)
    torch.testing.assert_close(by_generative, rows([0, 0], [0.25, 0]))
    torch.testing.assert_close(by_restoration, rows([0, -0.25], [0, -0.05]))


def test_counts_weigh_the_sets_by_their_pairs_of_samples():
    generative, restoration = rows([1, 0], [0, 1]), rows([1, 0], [1, 0])
    within = float(orthogonality(generative, restoration, (3, 4)).within)
    assert within == pytest.approx((3 * 2 * 0 + 4 * 3 * 1) / (3 * 2 + 4 * 3), rel=1e-12)
    assert float(orthogonality(generative, restoration, (2, 2)).within) == 0.5
    assert float(orthogonality(generative[:1], restoration, (1, 9)).within) == 1
    assert float(orthogonality(generative[:1], restoration, (9, 2)).within) == 1
    assert float(orthogonality(generative, restoration[:1], (9, 1)).within) == 0
    assert float(orthogonality(generative[:1], restoration[:1], (9, 2)).within) == 0


@pytest.mark.parametrize('mode', MODES)
def test_the_loss_does_not_depend_on_lengths(mode):
    """So a derivative is perpendicular to its own row, and longer for a shorter one."""
    generative, restoration = draw(3, 4)
    generative = generative - restoration.sum(0)
    result = orthogonality(generative, restoration, (6, 8), mode)
    by_generative, by_restoration = derivatives_of(result, generative, restoration)
    assert by_generative.norm() > 0 and by_restoration.norm() > 0
    for derivative, gradients in ((by_generative, generative), (by_restoration, restoration)):
        inner = (derivative * gradients).sum(1)
        assert (inner.abs() <= 1e-13 * derivative.norm(dim=1) * gradients.norm(dim=1)).all()

    scales = torch.tensor([[1e-3], [7.0], [1e4]], dtype=torch.float64)
    scaled = orthogonality(generative * scales, restoration, (6, 8), mode)
    assert float(scaled.loss) == pytest.approx(float(result.loss), rel=1e-12)
    by_scaled, by_other = derivatives_of(scaled, generative * scales, restoration)
    torch.testing.assert_close(by_scaled * scales, by_generative, rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(by_other, by_restoration, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('counts', [None, (4, 6)])
def test_a_zero_row_has_cosine_zero(mode, counts):
    generative, restoration = draw(2, 3, shared=2.0)
    generative, restoration = -generative, restoration.clone()
    generative[0] = 0
    restoration[2] = 0
    variables = [gradients.clone().requires_grad_() for gradients in (generative, restoration)]
    loss, cross, within = reference(*variables, counts, mode)
    assert cross != 0 and within != 0
    expected = torch.autograd.grad(loss, variables)
    loss, cross, within = loss.detach(), cross.detach(), within.detach()
    result = orthogonality(generative, restoration, counts, mode)
    assert float(result.loss) == pytest.approx(float(loss), rel=1e-12)
    assert float(result.cross) == pytest.approx(float(cross), rel=1e-12)
    assert float(result.within) == pytest.approx(float(within), rel=1e-12)
    by_generative, by_restoration = derivatives_of(result, generative, restoration)
    assert (by_generative[0] == 0).all() and (by_restoration[2] == 0).all()
    torch.testing.assert_close(by_generative[1:], expected[0][1:], rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(by_restoration[:2], expected[1][:2], rtol=1e-10, atol=1e-13)

    zeros = torch.zeros_like(generative)
    nothing = orthogonality(zeros, restoration, counts, mode)
    assert float(nothing.cross) == 0
    assert all(part.isfinite().all() for part in derivatives_of(nothing, zeros, restoration))


def test_an_unknown_mode_is_rejected():
    with pytest.raises(ValueError, match='sideways'):
        orthogonality(*draw(2, 2), mode='sideways')


def test_capped_limits_the_norm():
    gradient = rows([3, -4, 0])[0]
    one, four, six, nothing = torch.tensor([1, 4, 6, 0], dtype=torch.float64)
    torch.testing.assert_close(capped(gradient, one), rows([0.6, -0.8, 0])[0])
    torch.testing.assert_close(capped(gradient, four), rows([2.4, -3.2, 0])[0])
    assert torch.equal(capped(gradient, six), gradient)
    assert torch.equal(gradient, rows([3, -4, 0])[0])
    zero = torch.zeros(3, dtype=torch.float64)
    assert torch.equal(capped(gradient, nothing).abs(), zero)
    assert torch.equal(capped(zero, one), zero)
    assert torch.equal(capped(zero, nothing), zero)
