"""Setting B, baseline: the U-Net from random weights on ten tasks together, told of none."""

_base_ = ['../_base_/backbones/dtir_unet.py', '../_base_/recipes/setting_b_scratch.py']
model = dict(backbone=_base_.backbone)
