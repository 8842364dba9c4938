"""Setting B, stage 1: the U-Net learns to predict noise in the clean images of ten tasks."""

_base_ = [
    '../_base_/stages/paper/pretrain.py',
    '../_base_/datasets/setting_b_pretrain.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet')),
    step=dict(micro_batch_size=2),
)
train_cfg = dict(max_iters=500_000)
