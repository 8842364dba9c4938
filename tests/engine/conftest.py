"""A toy run of incremental training on three tasks."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from recorded_runs import RecordingHook, train

from dtir_mm.image_io import save_image

BASES = Path(__file__).resolve().parents[2] / 'configs' / '_base_'
BACKBONE = dict(
    type='dtir_mm.ConditionedBackbone',
    time_embedding=dict(dim=16),
    backbone=dict(
        type='DtirUNet', width=4, channel_multipliers=(1, 2), blocks_per_level=(1,),
        middle_blocks=1, attention=False, num_groups=2,
    ),
)  # fmt: skip
PRETRAIN = """
_base_ = [
    '{bases}/stages/paper/pretrain.py', '{bases}/datasets/photos_pretrain.py',
    '{bases}/schedules/adam_cosine_mini.py', '{bases}/runtime.py',
]
model = dict(backbone={backbone})
global_batch_size = None
train_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(folder='{photos}', shrink=1.0))
val_dataloader = val_cfg = val_evaluator = None
default_hooks = dict(importance=dict(n_batches=2), checkpoint=dict(interval=2))
train_cfg = dict(max_iters=2)
visualizer = dict(_delete_=True, type='ScalarVisualizer')
precision = 'fp64'
"""
# Three stages of four updates with all terms of GEF; two of eight samples are generative.
UNIFY = """
_base_ = [
    '{bases}/stages/paper/unify.py', '{bases}/datasets/photos_unified.py',
    '{bases}/schedules/adam_cosine_mini_10x300.py', '{bases}/runtime.py',
]
backbone = {backbone}
backbone['adapters'] = dict(num_experts=2, param_budget=5000, prompt_dim=8)
model = dict(
    backbone=dict(_delete_=True, **backbone),
    classifier=dict(
        type='DegradationClassifier', tasks=['noisy', 'rainy', 'hazy'], width=4
    ),
    timesteps=dict(_delete_=True, hazy=30, noisy=4, rainy=8),
    step=dict(
        mixing=dict(ratio=0.25), regularizers=dict(orthogonality=dict(interval=2, groups=2))
    ),
)
photos = dict(type='DegradedPhotosDataset', folder='{photos}', shrink=1.0)
patches = [dict(type='RandomPatch', size=16), dict(type='PackSample')]
global_batch_size = None
train_dataloader = dict(
    batch_size=8, num_workers=0,
    dataset=dict(datasets=[
        dict(photos, task=task, cache=True, pipeline=patches) for task in ('hazy', 'noisy', 'rainy')
    ]),
)
val_dataloader = dict(
    num_workers=0,
    dataset=dict(datasets=[
        dict(photos, task=task, max_photos=1, pipeline=[dict(type='PackSample')])
        for task in ('hazy', 'noisy', 'rainy')
    ]),
)
test_dataloader = test_cfg = test_evaluator = None
default_hooks = dict(
    importance=dict(n_batches=2), checkpoint=dict(interval=1, max_keep=20),
    layer_wise_decay=dict(gate='cut'), logger=dict(interval=1),
)
custom_hooks = [dict(type='RecordingHook')]
param_scheduler = dict(periods=[4] * 3, restart_weights=[1] * 3)
train_cfg = dict(max_iters=12, val_interval=4)
visualizer = dict(
    _delete_=True, type='ScalarVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
precision = 'fp64'
"""


@pytest.fixture(scope='session')
def toy_run(tmp_path_factory) -> SimpleNamespace:
    """A pre-trained run, an incremental run from it, and the settings of others like it."""
    folder = tmp_path_factory.mktemp('incremental')
    rng = np.random.default_rng(0)
    for i in range(6):
        coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        save_image(folder / 'photos' / f'{i}.png', cv2.resize(coarse, (40, 32)))
    made = SimpleNamespace(photos=folder / 'photos')
    for name, text in (('pretrain', PRETRAIN), ('unify', UNIFY)):
        path = folder / f'{name}.py'
        path.write_text(text.format(bases=BASES, backbone=BACKBONE, photos=made.photos))
        setattr(made, name, path)
    made.pretrained = train(made.pretrain, folder / 'pretrained')
    made.start = {'load_from': str(made.pretrained)}
    made.whole = train(made.unify, folder / 'whole', **made.start)
    made.updates, made.validated = dict(RecordingHook.updates), RecordingHook.validated
    return made
