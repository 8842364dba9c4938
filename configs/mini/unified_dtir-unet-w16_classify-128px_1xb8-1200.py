"""More context for what is large, shadows and haze: 1200 updates on patches of 128 px."""

_base_ = './unified_dtir-unet-w16_classify_1xb16-4k.py'
_patches_ = [
    dict(type='RandomPatch', size=128),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(datasets=[dict(d, pipeline=_patches_) for d in _base_._train_datasets_]),
)
train_cfg = dict(max_iters=1200, val_interval=1200)
load_from = 'work_dirs/unified_dtir-unet-w16_classify_1xb16-4k'
