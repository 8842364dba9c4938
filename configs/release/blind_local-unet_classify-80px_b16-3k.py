"""Predicts which of ten degradations an image has, or that it has none, on patches of 80 px."""

_base_ = [
    '../_base_/stages/blind/classify.py',
    '../_base_/datasets/photos_blind.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(backbone=dict(type='ConditionedBackbone', backbone=dict(type='LocalUNet')))
global_batch_size = 16
_pipeline = [
    dict(type='RandomPatch', size=80),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
train_dataloader = dict(
    dataset=dict(for_classifier=True, untouched=0, crop=160, min_scale=0.3, pipeline=_pipeline)
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_iters=3000, val_interval=3000)
load_from = 'work_dirs/blind_local-unet_cooldown-256px_b3-2k'
