"""Setting B, stage 3: ten tasks join, the U-Net learns each for 100 K updates."""

_base_ = [
    '../_base_/stages/released/unify.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/released_10x100k.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet')),
    step=dict(micro_batch_size=2),
)
train_dataloader = dict(sampler=dict(shares='size'))  # concatenated: larger data sets weigh more
load_from = 'work_dirs/released_dtir-unet_pretrain_b16-100k'
