"""Setting A, stage 2: the U-Net fine-tuned on LOL-v1, generalization to LOL-v2."""

_base_ = [
    '../_base_/stages/paper/finetune.py',
    '../_base_/datasets/setting_a_low_light.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet')),
    timesteps='paper',
    step=dict(micro_batch_size=2),
)
load_from = 'work_dirs/dtir-unet_pretrain_low_light_b16-500k'
