"""Activation checkpointing: the same gradients, also with other forward passes in between."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from dtir_mm.apis.deployment import deploy
from dtir_mm.models.conditioning.activation_checkpointing import keep_activations
from dtir_mm.registry import MODELS

UNET = dict(
    type='DtirUNet', width=8, channel_multipliers=(1, 2), blocks_per_level=(2,), middle_blocks=2,
    num_groups=4, attention=False,
)  # fmt: skip
NAFNET = dict(
    type='mmagic.NAFNet', mid_channels=4, middle_blk_num=2, enc_blk_nums=[1, 2], dec_blk_nums=[1, 1]
)
RESTORMER = dict(
    type='mmagic.Restormer', dim=4, num_blocks=[1, 1, 1, 2], num_refinement_blocks=1,
    heads=[1, 1, 2, 2], ffn_expansion_factor=2, bias=False, LayerNorm_type='BiasFree',
)  # fmt: skip
ADAPTERS = dict(num_experts=3, param_budget=5000, prompt_dim=8)
INSIDE = dict(ADAPTERS, sites=['encoders.0.0.conv1', 'middle.0'])  # the first is inside a block
NETWORKS = pytest.mark.parametrize(
    ('backbone', 'adapters'),
    [(UNET, INSIDE), (NAFNET, ADAPTERS), (RESTORMER, None)],
    ids=['unet', 'nafnet', 'restormer'],
)
MIXING = dict(type='SampleMixing', ratio=0.25, objective=dict(type='NoisePrediction'))
STEPS = torch.tensor([4, 47])


def both(backbone: dict, adapters: dict | None = None, **more) -> tuple[nn.Module, nn.Module]:
    """The same random fine-tuning restorer in float64, that keeps its activations and that not."""
    wrapped = dict(
        type='ConditionedBackbone', backbone=backbone, time_embedding=dict(dim=8), adapters=adapters
    )
    keeps, forgets = (
        MODELS.build(
            dict(
                type='Restorer',
                backbone={**wrapped, 'checkpoint_activations': checkpointed},
                step=dict(objective=dict(type='Reconstruction'), mixing=MIXING, **more),
            )
        )
        for checkpointed in (False, True)
    )
    for restorer in (keeps, forgets):
        restorer.set_precision('fp64')
    for parameter in keeps.parameters():
        nn.init.normal_(parameter, std=0.2)
    forgets.load_state_dict(keeps.state_dict())
    return keeps, forgets


def image(seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(2, 3, 16, 16, generator=rng, dtype=torch.float64) - 1


def make_batch(dtype: torch.dtype) -> dict:
    """Eight samples, of which a quarter are generative."""
    rng = torch.Generator().manual_seed(1)
    clean, degraded = 2 * torch.rand(2, 8, 3, 16, 16, generator=rng, dtype=dtype) - 1
    return {
        'clean': clean,
        'degraded': degraded,
        'task': ['rainy', 'hazy'] * 4,
        'path': [f'{slot}.png' for slot in range(8)],
        'key': torch.tensor([[11, 8, slot] for slot in range(8)]),
    }


def gradient(loss: Tensor, module: nn.Module, create_graph: bool = False) -> Tensor:
    parts = torch.autograd.grad(
        loss, list(module.parameters()), create_graph=create_graph, materialize_grads=True
    )
    return torch.cat([part.flatten() for part in parts])


def latest_gates(restorer: nn.Module) -> Tensor:
    adapters = restorer.backbone.adapters
    latest = [] if adapters is None else adapters.latest.values()
    return torch.cat([torch.zeros(1), *(routing.gates_BE.flatten() for routing in latest)])


@contextmanager
def kept_bytes() -> Iterator[Callable[[], int]]:
    """Counts the storages that a graph keeps for its backward pass."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield lambda: sum(storages.values())


@NETWORKS
def test_first_and_second_derivatives_are_the_same(backbone, adapters):
    keeps, forgets = both(backbone, adapters)
    assert [*keeps.state_dict()] == [*forgets.state_dict()]
    results = []
    for restorer in (keeps, forgets):
        loss = restorer.predict_residual(image(1), STEPS).square().mean()
        first = gradient(loss, restorer, create_graph=True)
        second = gradient(first.sin().sum(), restorer)
        results.append((loss.detach(), first.detach(), second))
    for expected, got in zip(*results, strict=True):
        assert expected.norm() > 1e-6
        assert (got - expected).norm() <= 1e-10 * expected.norm()


@NETWORKS
def test_each_forward_is_recomputed_at_its_own_time_steps(backbone, adapters):
    keeps, forgets = both(backbone, adapters)
    results = []
    for restorer in (keeps, forgets):
        first = restorer.predict_residual(image(1), STEPS).square().mean()
        second = restorer.predict_residual(image(2), STEPS.flip(0), restoring=False).abs().mean()
        with torch.no_grad():
            restorer.predict_residual(image(3), torch.tensor([9, 30]))
        routed = latest_gates(restorer)
        results.append(gradient(first - 3 * second, restorer))
        assert torch.equal(latest_gates(restorer), routed)
    assert (results[1] - results[0]).norm() <= 1e-10 * results[0].norm()


@pytest.mark.parametrize('implementation', ['group', 'per_sample'])
def test_an_update_with_all_terms_is_the_same(implementation):
    loss = dict(type='GradientOrthogonality', implementation=implementation, interval=1, groups=2)
    batch = make_batch(torch.float64)
    results = []
    for restorer in both(UNET, dict(INSIDE, top_k=2), micro_batch_size=3):
        plain, _ = restorer.step.gradient(restorer, batch)
        restorer.step.regularizers['orthogonality'] = MODELS.build(loss)
        results.append((plain, *restorer.step.gradient(restorer, batch)))
    (plain, whole, logged), (again, whole_again, logged_again) = results
    assert (whole - plain).norm() > 1e-3 * plain.norm()
    assert (again - plain).norm() <= 1e-10 * plain.norm()
    assert (whole_again - whole).norm() <= 1e-10 * whole.norm()
    torch.testing.assert_close(logged_again, logged, rtol=1e-10, atol=1e-12)


def test_checkpointing_saves_less_than_half_the_activations():
    kept = []
    for restorer in both(UNET):
        with kept_bytes() as count:
            restorer.predict_residual(image(1), STEPS)
        parameters = sum(p.numel() * p.element_size() for p in restorer.parameters())
        kept.append(count() - parameters)
    assert kept[1] < 0.5 * kept[0]


def test_a_copy_is_conditioned_by_its_own_layers():
    _, forgets = both(UNET, ADAPTERS)
    twin = copy.deepcopy(forgets)
    with torch.no_grad():
        for parameter in forgets.parameters():
            parameter.zero_()
    keeps, _ = both(UNET, ADAPTERS)
    keeps.load_state_dict(twin.state_dict())
    expected, got = (
        gradient(restorer.predict_residual(image(1), STEPS).square().mean(), restorer)
        for restorer in (keeps, twin)
    )
    assert (got - expected).norm() <= 1e-10 * expected.norm()


def test_bf16_gradients_differ_only_by_rounding():
    keeps, forgets = both(UNET, ADAPTERS)
    keeps.float(), forgets.float()
    batch = make_batch(torch.float32)
    full, _ = keeps.step.gradient(keeps.train(), batch)
    gradients = {}
    for name, restorer in (('keeps', keeps), ('forgets', forgets)):
        restorer.train().set_precision('bf16')
        for micro in (None, 3):
            restorer.step.micro_batch_size = micro
            gradients[name, micro], _ = restorer.step.gradient(restorer, batch)
    for micro in (None, 3):
        assert torch.equal(gradients['forgets', micro], gradients['keeps', micro])
        difference = (gradients['keeps', micro] - full).norm() / full.norm()
        assert 1e-4 < difference < 0.03  # bf16 keeps 8 bits
    assert gradients['keeps', 3].dtype == torch.float32


def test_deployment_removes_checkpointing():
    _, forgets = both(UNET)
    assert 'forward' in vars(forgets.backbone.net.get_submodule('middle.0'))
    network = deploy(forgets, 8)
    assert not any('forward' in vars(module) for module in network.modules())
    keep_activations(forgets.backbone.net)
    assert not any('forward' in vars(module) for module in forgets.modules())


def test_a_network_without_blocks_is_rejected():
    class Plain(nn.Sequential):
        global_skip = False

        def __init__(self) -> None:
            super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1))

    with pytest.raises(ValueError, match='Plain has no block of more than one layer'):
        MODELS.build(
            dict(type='ConditionedBackbone', backbone=dict(type=Plain), checkpoint_activations=True)
        )
