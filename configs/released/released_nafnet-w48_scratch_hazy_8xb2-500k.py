"""Setting A, baseline: the authors' NAFNet on RESIDE-6k from random weights, the same losses."""

_base_ = [
    '../_base_/backbones/nafnet_w48.py',
    '../_base_/stages/released/scratch.py',
    '../_base_/datasets/setting_a_hazy.py',
    '../_base_/schedules/released_500k.py',
]
model = dict(backbone=_base_.backbone, timesteps='paper')
