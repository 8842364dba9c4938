"""First and second derivatives through the conditioning, in float64."""

from collections.abc import Callable

import pytest
import torch
from network_cases import RELEASED, wrap
from torch import Tensor, nn

NAFNET = dict(
    type='mmagic.NAFNet', mid_channels=4, middle_blk_num=1, enc_blk_nums=[1], dec_blk_nums=[1]
)
UNET = dict(
    type='DtirUNet',
    width=4,
    channel_multipliers=(1, 2),
    blocks_per_level=(1,),
    middle_blocks=1,
    num_groups=2,
)
NETWORKS = pytest.mark.parametrize(
    'backbone', [NAFNET, UNET, RELEASED], ids=['nafnet', 'unet', 'released']
)
STEP = 1e-5


@pytest.fixture
def conditioned(backbone) -> nn.Module:
    return wrap(backbone)


def random_batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(2, 3, 4, 6, generator=generator, dtype=torch.float64)
    return u, torch.randint(1, 51, (2,), generator=generator)


def derivative_along(function: Callable[[], Tensor], variables: list[Tensor], seed: int) -> Tensor:
    """Central difference of ``function`` along a random direction of its variables."""
    generator = torch.Generator().manual_seed(seed)
    directions = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in variables]

    def shifted(amount: float) -> Tensor:
        for variable, direction in zip(variables, directions, strict=True):
            variable.data.add_(direction, alpha=amount)
        return function().detach()

    ahead, behind = shifted(STEP), shifted(-2 * STEP)
    shifted(STEP)
    return (ahead - behind) / (2 * STEP)


@NETWORKS
@pytest.mark.parametrize('by', ['net', 'films', 'time_embedding', 'input'])
def test_second_derivatives_agree_with_differences_of_first_ones(conditioned, by):
    u, t = random_batch(0)
    u.requires_grad_()
    weights = list(conditioned.parameters())

    def squared_gradient(create_graph: bool = False) -> Tensor:
        """Half the squared norm of the gradient, by weights and input, of a smooth function."""
        value = (
            conditioned.predict_residual(u, t).pow(3).mean()
            + conditioned.predict_residual(u, t).sin().mean()
        )
        gradients = torch.autograd.grad(value, [*weights, u], create_graph=create_graph)
        return 0.5 * sum(gradient.square().sum() for gradient in gradients)

    variables = [u] if by == 'input' else list(getattr(conditioned, by).parameters())
    second = torch.autograd.grad(squared_gradient(create_graph=True), variables)
    for seed in (1, 2):
        expected = derivative_along(squared_gradient, variables, seed)
        generator = torch.Generator().manual_seed(seed)
        directions = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in variables]
        along = sum((s * d).sum() for s, d in zip(second, directions, strict=True))
        assert abs(along) > 1e-4
        torch.testing.assert_close(along, expected, rtol=1e-5, atol=0)


@NETWORKS
def test_two_forwards_before_one_backward(conditioned):
    batches = [random_batch(1), random_batch(2)]
    weights = list(conditioned.parameters())

    def loss(u: Tensor, t: Tensor) -> Tensor:
        return conditioned.predict_residual(u, t).square().mean()

    first, second = (torch.autograd.grad(loss(*batch), weights) for batch in batches)
    losses = [loss(*batch) for batch in batches]
    together = torch.autograd.grad(losses[0] + 3 * losses[1], weights)
    for got, a, b in zip(together, first, second, strict=True):
        torch.testing.assert_close(got, a + 3 * b, rtol=1e-10, atol=1e-14)
