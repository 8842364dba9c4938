"""Setting A, stage 2: NAFNet fine-tuned on RESIDE-6k, generalization to REVIDE."""

_base_ = ['../_base_/backbones/nafnet_w64.py', '../_base_/recipes/setting_a_finetune_hazy.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/nafnet-w64_pretrain_hazy_8xb2-500k'
