"""Setting A, stage 2: fine-tuning on RESIDE-6k, generalization to REVIDE."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/finetune.py',
    '../_base_/datasets/setting_a_hazy.py',
    '../_base_/schedules/adam_cosine.py',
]
model = dict(backbone=_base_.backbone, timesteps='paper')
load_from = 'work_dirs/dtir-unet_pretrain_hazy_8xb2-500k'
