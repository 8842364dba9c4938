"""Setting B, baseline: X-Restormer from random weights on ten tasks together, told of none."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_b_scratch.py']
model = dict(backbone=_base_.backbone)
