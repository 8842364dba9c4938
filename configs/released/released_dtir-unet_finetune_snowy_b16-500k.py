"""Setting A, stage 2: the U-Net fine-tuned on Snow100K, generalization to RealSnow."""

_base_ = [
    '../_base_/stages/released/finetune.py',
    '../_base_/datasets/setting_a_snowy.py',
    '../_base_/schedules/released_500k.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet')),
    timesteps='paper',
    step=dict(micro_batch_size=2),
)
load_from = 'work_dirs/released_dtir-unet_pretrain_snowy_b16-100k'
