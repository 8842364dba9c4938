"""Quickstart, stage 1 of recipe `released`: 2000 updates of denoising on all photographs."""

_base_ = [
    '../_base_/backbones/dtir_unet_w16.py',
    '../_base_/stages/released/pretrain.py',
    '../_base_/datasets/photos_pretrain.py',
    '../_base_/schedules/adam_cosine_mini.py',
]
model = dict(backbone=_base_.backbone)
train_cfg = dict(max_iters=2000, val_interval=1000)
precision = 'fp32'  # so that the same seed gives the same table
