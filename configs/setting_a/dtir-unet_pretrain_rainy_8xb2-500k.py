"""Setting A, stage 1: noise prediction on the clean training images of Rain100L alone."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/pretrain.py',
    '../_base_/datasets/clean_pretrain.py',
    '../_base_/schedules/adam_cosine.py',
]
model = dict(backbone=_base_.backbone)
train_dataloader = dict(dataset=dict(folder='data/Rain100L/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/Rain100L/test/GT'))
train_cfg = dict(max_iters=500_000)
