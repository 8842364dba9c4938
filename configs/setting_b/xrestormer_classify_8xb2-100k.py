"""Setting B, beyond the paper: finding out the degradation, beside X-Restormer."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_b_classify.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/xrestormer_unified_8xb2-10x100k'
