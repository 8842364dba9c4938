"""Layers that could make a gradient depend on chance or on other samples of the batch."""

import torch
from restorer_cases import BOTH, build, compute, make_data, step_of
from torch import nn

from dtir_mm.registry import MODELS


@MODELS.register_module()
class Forgetful(nn.Sequential):
    """Drops half of its features; its norm takes statistics of the batch."""

    global_skip = False

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Conv2d(8, 3, 1)
        )


def forgetful(stage: str) -> nn.Module:
    """A restorer around that network, in training; half of fine-tuning's samples are generative."""
    backbone = dict(type='ConditionedBackbone', backbone=dict(type='Forgetful'))
    more = dict(ratio=0.5) if stage == 'finetuning' else {}
    return build(backbone, step_of(stage, **more)).train()


@BOTH
def test_dropout_depends_on_the_keys_of_the_samples(stage):
    restorer = forgetful(stage)
    first, _ = compute(restorer, make_data(range(4)))
    state = torch.get_rng_state()
    again, _ = compute(restorer, make_data(range(4)))
    assert torch.equal(again, first)
    assert torch.equal(torch.get_rng_state(), state)  # of others, who draw from it too
    keys = make_data(range(4))['key'] + torch.tensor([1, 0, 0])
    other, _ = compute(restorer, {**make_data(range(4)), 'key': keys})
    assert not torch.isclose(other, first).all()


@BOTH
def test_batch_norms_keep_their_statistics(stage):
    """So that no sample's gradient depends on the others, nor on how they are divided."""
    restorer = forgetful(stage)
    norm = restorer.backbone.net[1]
    restorer.backbone.net[2].p = 0.0
    norm.running_var.fill_(4.0)
    whole, _ = compute(restorer, make_data(range(4)))
    restorer.step.micro_batch_size = 1
    parts, _ = compute(restorer, make_data(range(4)))
    assert (parts - whole).norm() <= 1e-9 * whole.norm()
    assert norm.running_mean.eq(0).all() and norm.running_var.eq(4).all()
