"""Setting A, baseline: the U-Net from random weights on Snow100K, generalization to RealSnow."""

_base_ = [
    '../_base_/stages/paper/scratch.py',
    '../_base_/datasets/setting_a_snowy.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet')),
    timesteps='paper',
    step=dict(micro_batch_size=2),
)
