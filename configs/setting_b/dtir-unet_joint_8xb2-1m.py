"""Setting B without TIT: the U-Net learns ten tasks together, for 1 M updates."""

_base_ = ['../_base_/backbones/dtir_unet.py', '../_base_/recipes/setting_b_joint.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/dtir-unet_pretrain_8xb2-500k'
