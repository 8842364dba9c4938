"""Setting B, stage 1: noise prediction on the clean training images of all ten tasks."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/pretrain.py',
    '../_base_/datasets/setting_b_pretrain.py',
    '../_base_/schedules/adam_cosine.py',
]
model = dict(backbone=_base_.backbone)
train_cfg = dict(max_iters=500_000)
