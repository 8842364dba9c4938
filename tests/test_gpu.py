"""What a CUDA device computes, against the CPU: restored images, and an update of the weights."""

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from dtir_mm.apis.restoring import prepared, restore_pixels
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import MODELS

pytestmark = pytest.mark.gpu
DEVICE = 'cuda'


def both(config: dict) -> tuple[Restorer, Restorer]:
    """The same restorer with random weights, on the CPU and on the device."""
    there, here = (MODELS.build(dict(type='Restorer', **config)) for _ in range(2))
    for parameter in here.parameters():
        nn.init.normal_(parameter, std=0.05)
    there.load_state_dict(here.state_dict())
    return here.eval(), there.to(DEVICE).eval()


@pytest.mark.parametrize(('precision', 'apart'), [('fp32', 1), ('bf16', 4)])
@pytest.mark.parametrize('tile', [None, 64])
def test_images_are_restored_as_on_the_cpu(precision, apart, tile):
    backbone = dict(type='ConditionedBackbone', backbone=dict(type='LocalUNet'))
    here, there = (prepared(restorer, 8, tile, False) for restorer in both(dict(backbone=backbone)))
    image = np.random.default_rng(0).integers(0, 256, (101, 130, 3), dtype=np.uint8)
    expected = restore_pixels(here, image, 8).astype(int)
    assert np.abs(expected - image).mean() > 2, 'it does something'
    result = restore_pixels(there, image, 8, precision=precision)
    assert np.abs(result - expected).max() <= apart


def test_an_update_changes_the_weights_as_on_the_cpu(toy_backbone):
    step = dict(objective=dict(type='Reconstruction'))
    rng = np.random.default_rng(0)
    clean, degraded = rng.integers(0, 256, (2, 4, 3, 32, 32), dtype=np.uint8)
    batch = dict(
        clean=torch.from_numpy(clean),
        degraded=torch.from_numpy(degraded),
        task=['rainy'] * 4,
        domain=['source'] * 4,
        path=[f'{i}.png' for i in range(4)],
        key=torch.tensor([[0, 0, i] for i in range(4)]),
    )
    losses = []
    for restorer in both(dict(backbone=toy_backbone, step=step)):
        restorer.train()
        wrapper = OptimWrapper(torch.optim.SGD(restorer.parameters(), lr=0.1))
        logs = [restorer.train_step(batch, wrapper) for _ in range(3)]
        losses.append([float(log['content']) for log in logs])
    assert losses[0][2] != losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
