"""Setting A, stage 2: NAFNet fine-tuned on Rain100L, generalization to Rain100H."""

_base_ = ['../_base_/backbones/nafnet_w64.py', '../_base_/recipes/setting_a_finetune_rainy.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/nafnet-w64_pretrain_rainy_8xb2-500k'
