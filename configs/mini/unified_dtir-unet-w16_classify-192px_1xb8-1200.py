"""More context for what is large, shadows and haze: 1200 updates on patches of 192 px."""

_base_ = './unified_dtir-unet-w16_classify_1xb16-4k.py'
_patches_ = [
    dict(type='RandomPatch', size=192),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
_large_ = [dict(d, pipeline=_patches_) for d in _base_._train_]
train_dataloader = dict(batch_size=8, dataset=dict(datasets=_large_))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=1200, val_interval=1200)
load_from = 'work_dirs/unified_dtir-unet-w16_classify_1xb16-4k'
