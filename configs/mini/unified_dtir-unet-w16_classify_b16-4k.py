"""Predicts which of ten degradations an image has: 4000 updates on patches of 64 px."""

_base_ = [
    '../_base_/stages/classify.py',
    '../_base_/datasets/photos_unified.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(
        type='DtirUNet', width=16, channel_multipliers=(1, 2, 4), blocks_per_level=(1, 1),
        middle_blocks=2, attention=False,
    ), adapters=dict(param_budget=60_000)),
)  # fmt: skip
global_batch_size = 16
_tasks = _base_.train_dataloader.dataset.datasets
for _task in _tasks:
    _task.draws = 4  # degradations of each photograph, to avoid memorizing where its shadow falls
    _task.pipeline[0].size = 64
train_dataloader = dict(num_workers=1, dataset=dict(datasets=_tasks))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_iters=4000, val_interval=4000)
load_from = 'work_dirs/unified_dtir-unet-w16_b8-10x300'
