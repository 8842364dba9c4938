"""Setting A, baseline: X-Restormer from random weights on Rain100L, generalization to Rain100H."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_scratch_rainy.py']
model = dict(backbone=_base_.backbone)
