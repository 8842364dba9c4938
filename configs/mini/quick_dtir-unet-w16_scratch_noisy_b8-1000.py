"""Quickstart, baseline: the same losses and updates as stage 2, from random weights."""

_base_ = [
    '../_base_/stages/best/finetune.py',
    '../_base_/datasets/photos_finetune.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(
        type='DtirUNet', width=16, channel_multipliers=(1, 2, 4), blocks_per_level=(1, 1),
        middle_blocks=2, attention=False,
    )),
    timesteps='work_dirs/quickstart/timesteps.json',
)  # fmt: skip
train_dataloader = dict(dataset=dict(task='noisy'))
val_dataloader = dict(dataset=dict(task='noisy'))
test_dataloader = dict(dataset=dict(task='noisy'))
train_cfg = dict(max_iters=1000, val_interval=1000)
precision = 'fp32'  # so that the same seed gives the same table
