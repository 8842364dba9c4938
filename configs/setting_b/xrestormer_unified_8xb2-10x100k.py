"""Setting B, stage 3: ten tasks join, X-Restormer learns each for 100 K updates."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_b_unified.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/xrestormer_pretrain_8xb2-500k'
