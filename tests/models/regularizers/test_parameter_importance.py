"""Running importance against a plain loop; every penalty by hand and against autograd."""

import pytest
import torch
from torch import Tensor

from dtir_mm.models.regularizers.parameter_importance import (
    FORMS,
    RunningImportance,
    importance_penalty,
)

OMEGA_FORMS = ('pigwm', 'eq16', 'eq26', 'diag2', 'elementwise', 'ewc')

# Two tensors of 2 and 1 numbers, so S = (1 + 1, 6), with weights 2 and 10.
DELTA, OMEGA, STRENGTH, SIZES = [1.0, -2.0, -3.0], [1.0, 0.5, 2.0], [2.0, 10.0], [2, 1]
BY_HAND = {
    'pigwm': (1 * (2 + 4) + 5 * (6 + 36), [5.0, -2.5, -130.0]),
    'eq16': (2 * (2 + 4) + 10 * (6 + 36), [10.0, -5.0, -260.0]),
    'eq26': (2 * (2 + 2) + 10 * (6 + 18), [6.0, -3.0, -140.0]),
    'diag2': (1 * (1 + 1 + 1 + 1) + 5 * (6 + 36), [3.0, -1.5, -130.0]),
    'elementwise': (2 * (1 + 1 + 0.5 + 0.5) + 10 * (6 + 18), [4.0, -2.0, -140.0]),
    'ewc': (1 * (1 + 2) + 5 * 18, [2.0, -2.0, -60.0]),
    'l2sp': (1 * (1 + 4) + 5 * 9, [2.0, -4.0, -30.0]),
    'none': (0, [0.0, 0.0, 0.0]),
}


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def random_case(sizes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Steps of both signs with one that is 0, importances, weights of tensors."""
    delta = torch.randn(sum(sizes), dtype=torch.float64)
    delta[-1] = 0
    omega = torch.rand(sum(sizes), dtype=torch.float64) * 2
    return delta, omega, torch.rand(len(sizes), dtype=torch.float64) * 5


def formula(form: str, delta: Tensor, omega: Tensor, strength: Tensor, sizes: list[int]) -> Tensor:
    """The penalty as a differentiable sum over tensors."""
    total = (delta * 0).sum()
    start = 0
    for weight, size in zip(strength, sizes, strict=True):
        d, o = delta[start : start + size], omega[start : start + size]
        start += size
        s = sum(o[j] * d[j].abs() for j in range(size))
        total = (
            total
            + {
                'pigwm': weight / 2 * (s + s**2),
                'eq16': weight * (s + s**2),
                'eq26': weight * (s + s**2 / 2),
                'diag2': weight / 2 * ((o * d.abs()).sum() + (o**2 * d**2).sum()),
                'elementwise': weight
                * sum(o[j] * d[j].abs() + o[j] ** 2 * d[j] ** 2 / 2 for j in range(size)),
                'ewc': weight / 2 * (o * d**2).sum(),
                'l2sp': weight / 2 * (d**2).sum(),
                'none': 0,
            }[form]
        )
    return total


def test_running_importance_is_the_mean_over_batches():
    batches = torch.randn(7, 5, dtype=torch.float64).abs()
    running = RunningImportance()
    assert running.mean is None and running.count == 0
    for n in range(7):
        running.update(batches[n])
        assert running.count == n + 1
        expected = [sum(float(batches[i, j]) for i in range(n + 1)) / (n + 1) for j in range(5)]
        torch.testing.assert_close(running.mean, double(*expected), rtol=1e-12, atol=0)


def test_running_importance_continues_as_if_never_interrupted():
    batches = torch.rand(9, 4, dtype=torch.float64)
    whole, first = RunningImportance(), RunningImportance()
    for values in batches:
        whole.update(values)
    for values in batches[:4]:
        first.update(values)
    second = RunningImportance(first.mean.clone(), first.count)
    for values in batches[4:]:
        second.update(values)
    assert second.count == whole.count == 9
    assert torch.equal(second.mean, whole.mean)


def test_running_importance_copies_its_input():
    """A caller may fill the same buffer with the next gradient, and so may not the mean."""
    buffer = double(1.0, 2.0)
    running = RunningImportance()
    running.update(buffer)
    buffer.fill_(9.0)
    torch.testing.assert_close(running.mean, double(1.0, 2.0))
    running.update(buffer)
    torch.testing.assert_close(running.mean, double(5.0, 5.5))
    torch.testing.assert_close(buffer, double(9.0, 9.0))


@pytest.mark.parametrize('form', FORMS)
def test_values_by_hand(form):
    value, gradient = BY_HAND[form]
    penalty = importance_penalty(double(*DELTA), double(*OMEGA), double(*STRENGTH), SIZES, form)
    assert float(penalty.value) == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(penalty.gradient, double(*gradient), rtol=1e-12, atol=0)
    assert float(penalty.first_order) == pytest.approx(2 + 6, rel=1e-12)
    assert float(penalty.second_order) == pytest.approx(4 + 36, rel=1e-12)


@pytest.mark.parametrize('form', BY_HAND)
@pytest.mark.parametrize('sizes', [[1], [6], [7, 2], [3, 1, 5, 1], [1, 1, 1]])
def test_value_and_gradient_agree_with_autograd(form, sizes):
    delta, omega, strength = random_case(sizes)
    kept = delta.clone(), omega.clone(), strength.clone(), list(sizes)
    penalty = importance_penalty(delta, omega, strength, sizes, form)
    variable = delta.clone().requires_grad_()
    expected = formula(form, variable, omega, strength, sizes)
    (gradient,) = torch.autograd.grad(expected, variable)
    assert float(penalty.value) == pytest.approx(float(expected.detach()), rel=1e-12)
    torch.testing.assert_close(penalty.gradient, gradient, rtol=1e-11, atol=1e-13)
    assert torch.equal(delta, kept[0]) and torch.equal(omega, kept[1])
    assert torch.equal(strength, kept[2]) and sizes == kept[3]


@pytest.mark.parametrize('form', BY_HAND)
def test_the_penalty_is_zero_at_the_anchor(form):
    _, omega, strength = random_case([3, 4])
    delta = torch.zeros(7, dtype=torch.float64)
    penalty = importance_penalty(delta, omega, strength, [3, 4], form)
    assert float(penalty.value) == 0
    assert float(penalty.first_order) == float(penalty.second_order) == 0
    assert torch.equal(penalty.gradient, delta)


@pytest.mark.parametrize('form', OMEGA_FORMS)
def test_new_parameters_without_importance_are_not_penalised(form):
    """However far they have moved, neither they nor their neighbours get a gradient from it."""
    delta, omega, strength = random_case([5, 3])
    delta[-1] = 4.0
    new = torch.tensor([False, True, False, False, True, True, True, True])
    omega[new] = 0
    far = torch.where(new, delta * 1e6, delta)
    near, moved = (
        importance_penalty(d, omega, strength, [5, 3], form)
        for d in (torch.where(new, 0, delta), far)
    )
    assert (moved.gradient[new] == 0).all() and (moved.gradient[~new] != 0).all()
    torch.testing.assert_close(moved.gradient, near.gradient)
    assert float(moved.value) == pytest.approx(float(near.value), rel=1e-12)


def test_second_order_is_the_gauss_newton_form():
    """The sum over tensors of |d|^T (omega omega^T) |d|, with the matrix written out."""
    sizes = [4, 1, 6]
    delta, omega, strength = random_case(sizes)
    expected_first = expected_second = 0.0
    for d, o in zip(delta.abs().split(sizes), omega.split(sizes), strict=True):
        expected_first += float(d @ o)
        expected_second += float(d @ torch.outer(o, o) @ d)
    for form in FORMS:
        penalty = importance_penalty(delta, omega, strength, sizes, form)
        assert float(penalty.first_order) == pytest.approx(expected_first, rel=1e-12)
        assert float(penalty.second_order) == pytest.approx(expected_second, rel=1e-12)


def test_unknown_forms_are_rejected():
    with pytest.raises(ValueError, match='eq27') as error:
        importance_penalty(double(*DELTA), double(*OMEGA), double(*STRENGTH), SIZES, 'eq27')
    assert all(form in str(error.value) for form in FORMS)
