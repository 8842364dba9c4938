"""Setting A, stage 1: NAFNet learns to predict noise in the clean images of LOL-v1."""

_base_ = ['../_base_/backbones/nafnet_w64.py', '../_base_/recipes/setting_a_pretrain_low_light.py']
model = dict(backbone=_base_.backbone)
