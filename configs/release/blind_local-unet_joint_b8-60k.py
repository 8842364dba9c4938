"""All degradations together, from random weights, on patches of 64 px, at a constant rate."""

_base_ = [
    '../_base_/stages/blind/joint.py',
    '../_base_/datasets/photos_blind.py',
    '../_base_/schedules/adam_constant.py',
    '../_base_/runtime.py',
]
model = dict(backbone=dict(type='ConditionedBackbone', backbone=dict(type='LocalUNet')))
