"""Setting A, baseline: X-Restormer from random weights on LOL-v1, generalization to LOL-v2."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_scratch_low_light.py']
model = dict(backbone=_base_.backbone)
