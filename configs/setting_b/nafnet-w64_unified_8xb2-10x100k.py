"""Setting B, stage 3: ten tasks join, NAFNet learns each for 100 K updates."""

_base_ = ['../_base_/backbones/nafnet_w64.py', '../_base_/recipes/setting_b_unified.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/nafnet-w64_pretrain_8xb2-500k'
