"""Restorers and batches of fine-tuning, and losses, gradients and cosines of them written out."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from dtir_mm.models.preprocessor import select
from dtir_mm.models.regularizers.orthogonality_penalty import GradientOrthogonality
from dtir_mm.models.regularizers.regularizer import LayerDecay
from dtir_mm.registry import MODELS

TINY = dict(
    type='DtirUNet', width=4, channel_multipliers=(1, 2), blocks_per_level=(1,), middle_blocks=1,
    attention=False, num_groups=2,
)  # fmt: skip
CONDITIONED = dict(type='ConditionedBackbone', backbone=TINY, time_embedding=dict(dim=8))
SLOTS = [5, 0, 3, 7, 1, 4, 6, 2]  # of eight samples, of which the first three are generative
SAMPLES = [[0], [1], [2]], [[3], [4], [5], [6], [7]]
HALVES = [[0, 1], [2]], [[3, 4, 5], [6, 7]]
BOTH = pytest.mark.parametrize(
    ('implementation', 'groups'), [('per_sample', SAMPLES), ('group', HALVES)]
)
DEEP = pytest.mark.parametrize('deep', [1.0, 0.25, 0.0], ids='gate {}'.format)


def build(
    backbone: dict = TINY,
    precision: str = 'fp64',
    content: dict | None = None,
    generative: str = 'NoisePrediction',
    regularizers: dict | None = None,
) -> nn.Module:
    """A restorer whose weights are all random, those of FiLM too; ``content`` are its losses."""
    step = dict(
        objective=dict(type='Reconstruction', losses=content),
        mixing=dict(type='SampleMixing', ratio=0.375, objective=dict(type=generative)),
        regularizers=regularizers,
    )
    wrapped = CONDITIONED | dict(backbone=backbone)
    restorer = MODELS.build(dict(type='Restorer', backbone=wrapped, step=step))
    restorer.set_precision(precision)
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return restorer


def make_batch(restorer: nn.Module, iteration: int = 3, slots: Sequence[int] = SLOTS) -> dict:
    """A batch on which the noise of a generative sample depends on its slot and iteration."""
    rng = torch.Generator().manual_seed(1)
    images = 2 * torch.rand(2, 8, 3, 8, 8, generator=rng) - 1
    clean, degraded = images.to(next(restorer.parameters()))[:, slots]
    return {
        'clean': clean,
        'degraded': degraded,
        'task': ['rainy' if slot % 2 else 'hazy' for slot in slots],
        'path': [f'photo_{slot}.png' for slot in slots],
        'key': torch.tensor([[11, iteration, slot] for slot in slots]),
    }


def compute(restorer: nn.Module, iteration: int = 3) -> tuple[Tensor, dict[str, Tensor]]:
    return restorer.step.gradient(restorer, make_batch(restorer, iteration))


def set_term(restorer: nn.Module, name: str, term: object | None) -> None:
    """Puts a regularizer into the training step, or takes it out."""
    restorer.step.regularizers.pop(name, None)
    if term is not None:
        restorer.step.regularizers[name] = term


def compute_added(restorer: nn.Module, **arguments) -> tuple[Tensor, dict[str, Tensor]]:
    """The gradient that an orthogonality loss adds, and its logs."""
    set_term(restorer, 'orthogonality', None)
    plain, _ = compute(restorer)
    set_term(restorer, 'orthogonality', GradientOrthogonality(interval=1, **arguments))
    gradient, logged = compute(restorer)
    return gradient - plain, logged


def gradient_of(loss: Tensor, restorer: nn.Module, create_graph: bool = False) -> Tensor:
    gradients = torch.autograd.grad(
        loss, list(restorer.parameters()), create_graph=create_graph, materialize_grads=True
    )
    return torch.cat([gradient.flatten() for gradient in gradients])


def loss_of(restorer: nn.Module, slots: Sequence[int], iteration: int = 3) -> Tensor:
    """The part of samples of one kind in the update's loss, by a forward of each."""
    step = restorer.step
    objective = step.mixing.objective if max(slots) < 3 else step.objective
    batch = make_batch(restorer, iteration)
    losses = [
        objective.losses(restorer, select(batch, [SLOTS.index(slot)])).total for slot in slots
    ]
    return torch.cat(losses).sum() / 8


def gradients_of(
    restorer: nn.Module, groups: tuple, iteration: int = 3, create_graph: bool = False
) -> list[list[Tensor]]:
    """The gradient of each group, of generative samples and of restored ones."""
    return [
        [gradient_of(loss_of(restorer, slots, iteration), restorer, create_graph) for slots in part]
        for part in groups
    ]


def set_gate(restorer: nn.Module, deep: float) -> Tensor:
    """Lets ``deep`` of the generative gradient into the second half of blocks: factors (P,)."""
    order, block_of = restorer.backbone.trace.order, restorer.backbone.parameter_blocks()
    shallow = {name for name, block in block_of.items() if block in order[: len(order) // 2]}
    named = restorer.named_trained_parameters()
    gate = [1.0 if name.removeprefix('backbone.') in shallow else deep for name in named]
    set_layer_decay(restorer, gate, [1.0] * len(gate))
    pairs = zip(named.values(), gate, strict=True)
    factors = torch.cat([torch.full((p.numel(),), factor) for p, factor in pairs])
    assert 0.05 < (factors == deep).double().mean() < 0.95 or deep == 1
    return factors.double()


def set_layer_decay(restorer: nn.Module, gate: Sequence[float], penalty: Sequence[float]) -> None:
    """Factors of each trained parameter, in order, as ``LayerWiseDecayHook`` sets them."""
    decay = LayerDecay(len(gate))
    decay.gate[:] = torch.tensor(gate)
    decay.penalty[:] = torch.tensor(penalty)
    restorer.step.layer_decay = decay


def mean_cosines(gradients: list[list[Tensor]]) -> tuple[Tensor, list[Tensor]]:
    """Over the pairs across two sets, and over the ordered pairs within each."""
    cosine = torch.nn.CosineSimilarity(dim=0, eps=0)
    cross = [cosine(g, r) for g in gradients[0] for r in gradients[1]]
    within = [[cosine(a, b) for a in part for b in part if a is not b] for part in gradients]
    return torch.stack(cross).mean(), [torch.stack(cosines).mean() for cosines in within]
