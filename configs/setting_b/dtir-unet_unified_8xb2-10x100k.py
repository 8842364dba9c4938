"""Setting B, stage 3: ten tasks join, each for 100 K updates."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/unify.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/adam_cosine_10x100k.py',
]
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/dtir-unet_pretrain_8xb2-500k'
