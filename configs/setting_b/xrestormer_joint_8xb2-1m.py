"""Setting B without TIT: X-Restormer learns ten tasks together, for 1 M updates."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_b_joint.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/xrestormer_pretrain_8xb2-500k'
