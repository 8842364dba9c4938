"""Setting A, stage 1: X-Restormer learns to predict noise in the clean images of Rain100L."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_pretrain_rainy.py']
model = dict(backbone=_base_.backbone)
