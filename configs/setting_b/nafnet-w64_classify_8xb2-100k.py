"""Setting B, beyond the paper: finding out the degradation, beside NAFNet."""

_base_ = ['../_base_/backbones/nafnet_w64.py', '../_base_/recipes/setting_b_classify.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/nafnet-w64_unified_8xb2-10x100k'
