"""Finds out which of ten degradations an image has: 4000 updates on patches of 64 px."""

_base_ = [
    '../_base_/backbones/dtir_unet_w16.py',
    '../_base_/stages/classify.py',
    '../_base_/datasets/photos_unified.py',
    '../_base_/schedules/adam_cosine_mini.py',
]
model = dict(backbone=dict(**_base_.backbone, adapters=dict(param_budget=60_000)))
_patches_ = [
    dict(type='RandomPatch', size=64),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
# Several degradations of each photograph, lest it is known by heart where its shadow falls.
_train_ = [dict(d, draws=4, pipeline=_patches_) for d in _base_._train_datasets_]
train_dataloader = dict(batch_size=16, num_workers=1, dataset=dict(datasets=_train_))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_iters=4000, val_interval=4000)
load_from = 'work_dirs/unified_dtir-unet-w16_1xb8-10x300'
