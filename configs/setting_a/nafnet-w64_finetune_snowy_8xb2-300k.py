"""Setting A, stage 2: NAFNet fine-tuned on Snow100K, generalization to RealSnow."""

_base_ = ['../_base_/backbones/nafnet_w64.py', '../_base_/recipes/setting_a_finetune_snowy.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/nafnet-w64_pretrain_snowy_8xb2-500k'
