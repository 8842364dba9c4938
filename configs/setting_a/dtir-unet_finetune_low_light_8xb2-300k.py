"""Setting A, stage 2: fine-tuning on LOL-v1, generalization to LOL-v2."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/finetune.py',
    '../_base_/datasets/setting_a_low_light.py',
    '../_base_/schedules/adam_cosine.py',
]
model = dict(backbone=_base_.backbone, timesteps='paper')
load_from = 'work_dirs/dtir-unet_pretrain_low_light_8xb2-500k'
