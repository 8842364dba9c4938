"""Setting A, stage 1: NAFNet learns to denoise the clean images of RESIDE-6k."""

_base_ = [
    '../_base_/backbones/nafnet_w64.py',
    '../_base_/stages/released/pretrain.py',
    '../_base_/datasets/released_pretrain.py',
    '../_base_/schedules/released_500k.py',
]
model = dict(backbone=_base_.backbone)
train_dataloader = dict(dataset=dict(folder='data/RESIDE-6k/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/RESIDE-6k/test/GT'))
train_cfg = dict(max_iters=100_000)
