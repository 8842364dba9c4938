"""Setting A, stage 2: X-Restormer fine-tuned on RESIDE-6k, generalization to REVIDE."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_finetune_hazy.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/xrestormer_pretrain_hazy_8xb2-500k'
