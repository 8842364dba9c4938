"""Pilot, stage 1: 6000 updates of noise prediction on 432 photographs."""

_base_ = [
    '../_base_/stages/paper/pretrain.py',
    '../_base_/datasets/bsds500_pretrain.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(
        type='DtirUNet', width=32, channel_multipliers=(1, 2, 4), blocks_per_level=(1, 1),
        middle_blocks=2, attention=False,
    )),
)  # fmt: skip
train_cfg = dict(max_iters=6000, val_interval=2000)
