"""Pilot, stage 1: 6000 updates of noise prediction on 432 photographs."""

_base_ = [
    '../_base_/backbones/dtir_unet_w32.py',
    '../_base_/stages/paper/pretrain.py',
    '../_base_/datasets/bsds500_pretrain.py',
    '../_base_/schedules/adam_cosine_mini.py',
]
model = dict(backbone=_base_.backbone)
train_cfg = dict(max_iters=6000, val_interval=2000)
