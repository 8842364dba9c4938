"""Setting A, stage 2: the U-Net fine-tuned on RESIDE-6k, generalization to REVIDE."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/released/finetune.py',
    '../_base_/datasets/setting_a_hazy.py',
    '../_base_/schedules/released_500k.py',
]
model = dict(backbone=_base_.backbone, timesteps='paper')
load_from = 'work_dirs/released_dtir-unet_pretrain_hazy_8xb2-100k'
