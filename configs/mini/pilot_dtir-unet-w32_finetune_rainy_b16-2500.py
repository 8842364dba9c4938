"""Pilot, stage 2: 2500 updates on rain at t = 8, from the pre-trained weights."""

_base_ = [
    '../_base_/stages/paper/finetune.py',
    '../_base_/datasets/bsds500_finetune.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(
        type='DtirUNet', width=32, channel_multipliers=(1, 2, 4), blocks_per_level=(1, 1),
        middle_blocks=2, attention=False,
    )),
    timesteps='fixed:8',
)  # fmt: skip
train_dataloader = dict(dataset=dict(task='rainy'))
val_dataloader = dict(dataset=dict(task='rainy'))
test_dataloader = dict(dataset=dict(task='rainy'))
train_cfg = dict(max_iters=2500, val_interval=2500)
load_from = 'work_dirs/pilot_dtir-unet-w32_pretrain_b16-6k'
