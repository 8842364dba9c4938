"""Setting A, stage 2: X-Restormer fine-tuned on Rain100L, generalization to Rain100H."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_finetune_rainy.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/xrestormer_pretrain_rainy_8xb2-500k'
