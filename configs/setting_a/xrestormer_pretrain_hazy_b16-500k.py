"""Setting A, stage 1: X-Restormer learns to predict noise in the clean images of RESIDE-6k."""

_base_ = [
    '../_base_/stages/paper/pretrain.py',
    '../_base_/datasets/clean_pretrain.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='XRestormer')),
    step=dict(micro_batch_size=2),
)
train_dataloader = dict(dataset=dict(folder='data/RESIDE-6k/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/RESIDE-6k/test/GT'))
train_cfg = dict(max_iters=500_000)
