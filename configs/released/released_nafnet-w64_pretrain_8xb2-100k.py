"""Setting B, stage 1: NAFNet learns to denoise the clean images of all ten tasks."""

_base_ = [
    '../_base_/backbones/nafnet_w64.py',
    '../_base_/stages/released/pretrain.py',
    '../_base_/datasets/released_b_pretrain.py',
    '../_base_/schedules/released_500k.py',
]
model = dict(backbone=_base_.backbone)
train_cfg = dict(max_iters=100_000)
