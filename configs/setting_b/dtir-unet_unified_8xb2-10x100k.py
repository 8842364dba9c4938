"""Setting B, stage 3: ten tasks join, the U-Net learns each for 100 K updates."""

_base_ = ['../_base_/backbones/dtir_unet.py', '../_base_/recipes/setting_b_unified.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/dtir-unet_pretrain_8xb2-500k'
