"""Setting A, stage 1: noise prediction on the clean training images of LOL-v1 alone."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/pretrain.py',
    '../_base_/datasets/clean_pretrain.py',
    '../_base_/schedules/adam_cosine.py',
]
model = dict(backbone=_base_.backbone)
train_dataloader = dict(dataset=dict(folder='data/LOL-v1/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/LOL-v1/test/GT'))
train_cfg = dict(max_iters=500_000)
