"""More context for large degradations, shadows and haze: 1200 updates on patches of 192 px."""

_base_ = './unified_dtir-unet-w16_classify_b16-4k.py'
global_batch_size = 8
_pipeline = [
    dict(type='RandomPatch', size=192),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
_tasks = [dict(task, pipeline=_pipeline) for task in _base_.train_dataloader.dataset.datasets]
train_dataloader = dict(dataset=dict(datasets=_tasks))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=1200, val_interval=1200)
load_from = 'work_dirs/unified_dtir-unet-w16_classify_b16-4k'
