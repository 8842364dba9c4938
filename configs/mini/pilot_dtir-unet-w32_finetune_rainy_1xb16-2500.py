"""Pilot, stage 2: 2500 updates on rain at t = 8, from the pre-trained weights."""

_base_ = [
    '../_base_/backbones/dtir_unet_w32.py',
    '../_base_/stages/paper/finetune.py',
    '../_base_/datasets/bsds500_finetune.py',
    '../_base_/schedules/adam_cosine_mini.py',
]
model = dict(backbone=_base_.backbone, timesteps='fixed:8')
train_dataloader = dict(dataset=dict(task='rainy'))
val_dataloader = dict(dataset=dict(task='rainy'))
test_dataloader = dict(dataset=dict(task='rainy'))
train_cfg = dict(max_iters=2500, val_interval=2500)
load_from = 'work_dirs/pilot_dtir-unet-w32_pretrain_1xb16-6k'
