"""Setting B without TIT: the ten tasks together, for 1 M updates."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/joint.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/adam_cosine_joint_1m.py',
]
model = dict(backbone=_base_.backbone)
load_from = 'work_dirs/dtir-unet_pretrain_8xb2-500k'
