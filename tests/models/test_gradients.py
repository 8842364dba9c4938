"""First and second derivatives as flat vectors, against torch's own Hessian and plain loops."""

import pytest
import torch
from torch import Tensor, nn

from dtir_mm.models.gradients import (
    flat_gradient,
    hessian_vector_product,
    per_sample_gradients,
    write_gradient,
)

SIZES = (2, 3, 4)


def make_parameters() -> list[nn.Parameter]:
    """Three tensors, the first of which has no part in ``smooth``."""
    return [nn.Parameter(torch.randn(size, dtype=torch.float64)) for size in SIZES]


def smooth(a: Tensor, b: Tensor) -> Tensor:
    return (a.pow(3).sum() * b.sin()).sum() + (b @ b).exp().mean() + a.sum()


@pytest.mark.parametrize('reached', [(True, True, True), (True, True, False), (False, True, True)])
def test_hessian_vector_product(reached):
    parameters = make_parameters()
    vector = torch.randn(9, dtype=torch.float64)
    mask = torch.tensor(reached).repeat_interleave(torch.tensor(SIZES)).double()

    def of_flat(x: Tensor) -> Tensor:
        return smooth(x[2:5], x[5:].view(2, 2))

    hessian = torch.autograd.functional.hessian(of_flat, torch.cat(parameters).detach())
    loss = smooth(parameters[1], parameters[2].view(2, 2))
    product = hessian_vector_product(loss, parameters, vector, reached)
    torch.testing.assert_close(product, mask * (hessian @ (mask * vector)))
    linear = 3 * parameters[1].sum()
    assert (hessian_vector_product(linear, parameters, vector, reached) == 0).all()


def test_parameters_without_part_in_a_loss_have_gradient_zero():
    used, unused = nn.Parameter(torch.tensor([2.0, 3.0])), nn.Parameter(torch.ones(2, 2))
    gradient = flat_gradient((used**3).sum(), [unused, used])
    assert gradient.tolist() == [0, 0, 0, 0, 12, 27]
    write_gradient(gradient, [unused, used])
    assert torch.equal(used.grad, torch.tensor([12.0, 27.0]))
    assert torch.equal(unused.grad, torch.zeros(2, 2))
    frozen = torch.ones(3).sum()
    assert flat_gradient(frozen, [used]).tolist() == [0, 0]
    for reached in ([True], [False]):
        assert hessian_vector_product(frozen, [used], torch.ones(2), reached).tolist() == [0, 0]


def test_per_sample_gradients():
    parameters = make_parameters()
    inputs = torch.randn(5, 3, dtype=torch.float64)

    def loss_of_sample(x: Tensor) -> Tensor:
        return smooth(parameters[1] * x, parameters[2].view(2, 2))

    losses = torch.stack([loss_of_sample(x) for x in inputs])
    rows = per_sample_gradients(losses, parameters)
    second = torch.autograd.grad(rows.square().sum(), parameters[1:])
    expected = torch.stack(
        [
            torch.cat([torch.zeros(2, dtype=torch.float64), *gradients])
            for gradients in (
                torch.autograd.grad(loss_of_sample(x), parameters[1:], create_graph=True)
                for x in inputs
            )
        ]
    )
    torch.testing.assert_close(rows, expected)
    torch.testing.assert_close(second, torch.autograd.grad(expected.square().sum(), parameters[1:]))
