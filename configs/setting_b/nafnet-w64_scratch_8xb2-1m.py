"""Setting B, baseline: NAFNet from random weights on ten tasks together, told of none."""

_base_ = ['../_base_/backbones/nafnet_w64.py', '../_base_/recipes/setting_b_scratch.py']
model = dict(backbone=_base_.backbone)
