"""Setting A, baseline: X-Restormer from random weights on Snow100K, generalization to RealSnow."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_scratch_snowy.py']
model = dict(backbone=_base_.backbone)
