"""A second end of the training, on larger patches of larger crops, with more haze, shadow and blur.

Haze and shadows extend over an image: a patch of a crop of 288 px shows only a part of them.
"""

_base_ = [
    '../_base_/stages/blind/joint.py',
    '../_base_/datasets/photos_blind.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(backbone=dict(type='ConditionedBackbone', backbone=dict(type='LocalUNet')))
global_batch_size = 3
_pipeline = _base_.train_dataloader.dataset.pipeline
_pipeline[0].size = 256
# New pairs for every update, instead of a few in memory.
_part = dict(_base_.train_dataloader.dataset, crop=448, draws=20, cache=False, pipeline=_pipeline)
_large = dict(_part, degradations=['shadowed', 'hazy', 'blurry'], composites=0, untouched=0)
_parts = [dict(_part, pair_seed=100), dict(_large, pair_seed=200, draws=40)]
train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=_parts))
train_cfg = dict(max_iters=8000, val_interval=1000)
load_from = 'work_dirs/blind_local-unet_cooldown-192px_b4-3k'
