"""Setting A, stage 2: X-Restormer fine-tuned on Snow100K, generalization to RealSnow."""

_base_ = ['../_base_/backbones/xrestormer.py', '../_base_/recipes/setting_a_finetune_snowy.py']
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/xrestormer_pretrain_snowy_8xb2-500k'
