"""A checkpoint whose config can be changed anywhere, and checks that it is rejected."""

import copy
import json

import pytest
from torch import nn

from dtir_mm.engine.checkpoint import save_checkpoint
from dtir_mm.registry import MODELS

UNET = dict(
    type='DtirUNet', width=8, channel_multipliers=(1, 2), blocks_per_level=(1,), middle_blocks=1,
    attention=False,
)  # fmt: skip
BACKBONE = dict(type='ConditionedBackbone', backbone=UNET, time_embedding=dict(dim=8))
CONFIG = dict(
    model=dict(
        type='dtir_mm.Restorer',
        backbone=BACKBONE,
        head=dict(type='NoiseHead'),
        step=dict(
            objective=dict(type='Reconstruction', losses=dict(pixel=dict(type='L1Loss'))),
            mixing=dict(type='SampleMixing', objective=dict(type='NoisePrediction')),
            regularizers=dict(projection=dict(type='GradientProjection')),
        ),
    ),
    train_dataloader=dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(
            type='CleanPhotosDataset', folder='photos', pipeline=[dict(type='PackSample')]
        ),
    ),
    custom_hooks=[dict(type='PlateauHook')],
    optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
)
META = dict(iter=5, seed=0, precision='fp32', tasks=['rainy'], timesteps={'rainy': 8})


@MODELS.register_module()
class Owned(nn.Module):
    """A custom network with layers named as in OpenMMLab's configs."""

    global_skip = True

    def __init__(self, norm_cfg=None, init_cfg=None, window=None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8) if norm_cfg is None else MODELS.build(norm_cfg)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, image):
        return image + self.last(self.norm(self.conv(image)))


def changed(config, place, **update):
    """A config with other keys at a place such as ``model.step``."""
    config = copy.deepcopy(config)
    part = config
    for key in place.split('.') if place else ():
        part = part[int(key)] if isinstance(part, list) else part[key]
    part.update(update)
    return config


def checkpoint_of(config, folder, weights=None):
    text = config if isinstance(config, str) else json.dumps(config)
    meta = META | {'fixed_timestep': None, 'config_json': text}
    if weights is None:
        weights = MODELS.build(copy.deepcopy(CONFIG['model'])).state_dict()
    save_checkpoint({'meta': meta, 'state_dict': weights}, folder / 'iter_5.pth')
    return folder / 'iter_5.pth'


def refused(load, file, trap):
    """The error message for a file, from which nothing may be imported."""
    with pytest.raises((ValueError, KeyError, RuntimeError)) as error:
        load(file)
    assert not trap.sprung
    message = str(error.value.args[0])
    assert '\n' not in message and len(message) < 600
    return message
