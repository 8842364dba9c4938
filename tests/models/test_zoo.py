"""Networks of many kinds: unchanged by conditioning at first, then trained for ten steps."""

from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from zoo_cases import CASES, bare_network, in_its_own_way

from dtir_mm.apis.deployment import deploy
from dtir_mm.models.gradients import (
    flat_gradient,
    flatten,
    hessian_vector_product,
    refuse_custom_functions,
)
from dtir_mm.models.preprocessor import select
from dtir_mm.models.tracing.sizes import SizeRule, size_rule
from dtir_mm.registry import MODELS

pytestmark = pytest.mark.filterwarnings('ignore')  # of torch.jit and meshgrid, in spandrel

EVERY = pytest.mark.parametrize('name', CASES)


class Trained(NamedTuple):
    before: Tensor  # L_g of the batch, (B,)
    after: Tensor
    restorer: nn.Module
    batch: dict[str, Any]


def build(name: str) -> nn.Module:
    case = CASES[name]
    backbone = dict(
        type='ConditionedBackbone',
        backbone=case.network,
        conditioning=case.conditioning,
        time_embedding=dict(dim=16),
    )
    step = dict(objective=dict(type='NoisePrediction'))
    return MODELS.build(dict(type='Restorer', backbone=backbone, step=step))


def noise_losses(restorer: nn.Module, batch: dict[str, Any]) -> Tensor:
    return restorer.step.objective.losses(restorer, batch).total


@cache
def trained(name: str) -> Trained:
    """Ten steps on one batch, whose samples keep their noise and time steps."""
    torch.manual_seed(0)
    restorer = build(name)
    side = CASES[name].side
    data = {
        'clean': torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8) // 4 + 96,
        'path': ['a.png', 'b.png'],
        'key': torch.tensor([[0, 1, 0], [0, 1, 1]]),
    }
    batch = restorer.data_preprocessor(data)
    optimizer = OptimWrapper(torch.optim.Adam(restorer.parameters(), CASES[name].learning_rate))
    with torch.no_grad():
        before = noise_losses(restorer.eval(), batch)
    for _ in range(10):
        restorer.train().train_step(data, optimizer)
    with torch.no_grad():
        after = noise_losses(restorer.eval(), batch)
    return Trained(before, after, restorer, batch)


@EVERY
def test_ten_steps_lower_the_noise_loss(name):
    losses = trained(name)
    assert losses.after.mean() < 0.98 * losses.before.mean()


@EVERY
def test_every_film_weight_gets_a_gradient(name):
    restorer, batch = trained(name).restorer, trained(name).batch
    films = dict(restorer.backbone.films.named_parameters())
    assert len(restorer.backbone.films) == CASES[name].films
    assert len(films) == 2 * CASES[name].films
    gradients = torch.autograd.grad(noise_losses(restorer, batch).mean(), list(films.values()))
    for parameter, gradient in zip(films, gradients, strict=True):
        assert (gradient != 0).all(), parameter


@EVERY
@torch.no_grad()
def test_the_output_depends_on_time_and_follows_its_permutation(name):
    backbone, side = trained(name).restorer.backbone, CASES[name].side
    u = torch.rand(3, 3, side, side) * 2 - 1
    t = torch.tensor([2, 25, 48])
    output = backbone.predict_residual(u, t)
    other = backbone.predict_residual(u, torch.tensor([2, 45, 48]))
    change = (other - output).flatten(1).abs().amax(1)
    assert change[1] > 1e-4 and change[[0, 2]].max() < 1e-5
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(backbone.predict_residual(u[order], t[order]), output[order])


@EVERY
@torch.no_grad()
def test_new_wrappers_equal_the_unconditioned_network(name):
    """The bare one in spandrel's own way: images in [0, 1], one at a time."""
    backbone = build(name).eval().backbone
    bare = bare_network(name)
    backbone.net.load_state_dict(bare.state_dict(), strict=True)
    height, width = backbone.size_rule.enclosing(16, 24)
    image = torch.rand(1, 3, height, width)
    u = (image * 2 - 1).expand(3, -1, -1, -1)
    output = backbone(u, torch.tensor([1, 20, 50]))
    expected = in_its_own_way(name, bare, image)
    torch.testing.assert_close(output, expected.expand(3, -1, -1, -1), rtol=1e-5, atol=1e-5)
    assert (expected - u).abs().mean() > 1e-3
    residual = backbone.predict_residual(u, torch.tensor([1, 20, 50]))
    torch.testing.assert_close(residual + output, u, rtol=0, atol=1e-6)


@EVERY
def test_networks_can_be_differentiated_twice(name):
    """The curvature along the gradient, against the gradients on both sides."""
    restorer = deepcopy(trained(name).restorer).double()
    batch = select(trained(name).batch, [0])
    batch['clean'] = batch['clean'].double()
    parameters = restorer.trained_parameters()

    def loss() -> Tensor:
        return noise_losses(restorer, batch).mean()

    refuse_custom_functions(loss())
    direction = nn.functional.normalize(flat_gradient(loss(), parameters), dim=0)
    reached = [True] * len(parameters)
    curvature = hessian_vector_product(loss(), parameters, direction, reached) @ direction
    values, step = flatten(parameters), 1e-6
    slopes = []
    for sign in (1, -1):
        nn.utils.vector_to_parameters(values + sign * step * direction, parameters)
        slopes.append(flat_gradient(loss(), parameters) @ direction)
    expected = (slopes[0] - slopes[1]) / (2 * step)
    # FFTformer always computes its spectra in single precision.
    torch.testing.assert_close(curvature, expected, rtol=2e-3, atol=0)


@EVERY
def test_blocks_have_an_order(name):
    backbone = trained(name).restorer.backbone
    order = backbone.trace.order
    assert (order[0], order[-1]) == (CASES[name].first, CASES[name].last)
    blocks = backbone.parameter_blocks()
    assert set(blocks) == {parameter for parameter, _ in backbone.named_parameters()}
    assert set(order) >= set(blocks.values())
    assert len(order) > 5


@EVERY
def test_networks_deploy_without_conditioning(name):
    """Time folds into norms and convolutions of every layout; ``deploy`` compares the outputs."""
    case = CASES[name]
    backbone = dict(
        type='ConditionedBackbone', backbone=case.network, conditioning=case.conditioning
    )
    head = dict(type='NoiseHead', residual_scale='one')
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, head=head)).eval()
    for parameter in restorer.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    assert not any(module._forward_hooks for module in deploy(restorer, 12).modules())


def test_valid_sizes_are_those_of_spandrel():
    rules = {name: size_rule(build(name).backbone.net) for name in ('Uformer', 'SCUNet', 'NAFNet')}
    assert rules == {
        'Uformer': SizeRule(multiple=128, square=True),
        'SCUNet': SizeRule(minimum=40),
        'NAFNet': SizeRule(),
    }
