"""Setting A, stage 2: X-Restormer fine-tuned on LOL-v1, generalization to LOL-v2."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_finetune_low_light.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/xrestormer_pretrain_low_light_8xb2-500k'
