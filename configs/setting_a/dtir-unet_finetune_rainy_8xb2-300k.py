"""Setting A, stage 2: fine-tuning on Rain100L, generalization to Rain100H."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/finetune.py',
    '../_base_/datasets/setting_a_rainy.py',
    '../_base_/schedules/adam_cosine.py',
]
model = dict(backbone=_base_.backbone, timesteps='paper')
load_from = 'work_dirs/dtir-unet_pretrain_rainy_8xb2-500k'
