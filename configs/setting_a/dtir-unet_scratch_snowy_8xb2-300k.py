"""Setting A, baseline: the U-Net from random weights on Snow100K, generalization to RealSnow."""

_base_ = ['../_base_/backbones/dtir_unet.py', '../_base_/recipes/setting_a_scratch_snowy.py']
model = dict(backbone=_base_.backbone)
