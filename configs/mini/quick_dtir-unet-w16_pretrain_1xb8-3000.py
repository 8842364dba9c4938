"""Quickstart, stage 1: 3000 updates of noise prediction on every training photograph."""

_base_ = [
    '../_base_/backbones/dtir_unet_w16.py',
    '../_base_/stages/pretrain.py',
    '../_base_/datasets/photos_pretrain.py',
    '../_base_/schedules/adam_cosine_mini.py',
]
model = dict(backbone=_base_.backbone)
train_cfg = dict(max_iters=3000, val_interval=1000)
precision = 'fp32'  # so that the same seed gives the same table
