"""Setting A, baseline: the U-Net on Snow100K from random weights, the same losses."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/released/scratch.py',
    '../_base_/datasets/setting_a_snowy.py',
    '../_base_/schedules/released_500k.py',
]
model = dict(backbone=_base_.backbone, timesteps='paper')
