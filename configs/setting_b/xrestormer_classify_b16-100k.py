"""Setting B, beyond the paper: a degradation classifier beside X-Restormer."""

_base_ = [
    '../_base_/stages/classify.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='XRestormer')),
    step=dict(micro_batch_size=2),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_iters=100_000, val_interval=100_000)
load_from = 'work_dirs/xrestormer_unified_b16-10x100k'
