"""Setting A, baseline: the U-Net on Snow100K from random weights, the same losses."""

_base_ = [
    '../_base_/stages/released/scratch.py',
    '../_base_/datasets/setting_a_snowy.py',
    '../_base_/schedules/released_500k.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet')),
    timesteps='paper',
    step=dict(micro_batch_size=2),
)
