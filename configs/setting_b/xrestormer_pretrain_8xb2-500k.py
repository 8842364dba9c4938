"""Setting B, stage 1: X-Restormer learns to predict noise in the clean images of ten tasks."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_b_pretrain.py']
model = dict(backbone=_base_.backbone)
