"""Setting B, beyond the paper: finding out the degradation, beside the U-Net."""

_base_ = ['../_base_/backbones/dtir_unet.py', '../_base_/recipes/setting_b_classify.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/dtir-unet_unified_8xb2-10x100k'
