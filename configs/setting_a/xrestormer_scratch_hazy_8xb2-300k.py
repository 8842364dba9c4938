"""Setting A, baseline: X-Restormer from random weights on RESIDE-6k, generalization to REVIDE."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_scratch_hazy.py']
model = dict(backbone=_base_.backbone)
