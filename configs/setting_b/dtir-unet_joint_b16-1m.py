"""Setting B without TIT: the U-Net learns ten tasks together, for 1 M updates."""

_base_ = [
    '../_base_/stages/paper/joint.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/adam_cosine_joint_1m.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet')),
    step=dict(micro_batch_size=2),
)
load_from = 'work_dirs/dtir-unet_pretrain_b16-500k'
