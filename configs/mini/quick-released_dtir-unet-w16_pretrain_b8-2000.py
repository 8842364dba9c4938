"""Quickstart, stage 1 of recipe `released`: 2000 updates of denoising on all photographs."""

_base_ = [
    '../_base_/stages/released/pretrain.py',
    '../_base_/datasets/photos_pretrain.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(
        type='DtirUNet', width=16, channel_multipliers=(1, 2, 4), blocks_per_level=(1, 1),
        middle_blocks=2, attention=False,
    )),
)  # fmt: skip
train_cfg = dict(max_iters=2000, val_interval=1000)
precision = 'fp32'  # so that the same seed gives the same table
