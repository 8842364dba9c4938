"""Setting A, stage 1: X-Restormer learns to predict noise in the clean images of RESIDE-6k."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_pretrain_hazy.py']
model = dict(backbone=_base_.backbone)
