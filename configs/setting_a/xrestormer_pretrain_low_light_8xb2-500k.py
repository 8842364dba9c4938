"""Setting A, stage 1: X-Restormer learns to predict noise in the clean images of LOL-v1."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_pretrain_low_light.py']
model = dict(backbone=_base_.backbone)
