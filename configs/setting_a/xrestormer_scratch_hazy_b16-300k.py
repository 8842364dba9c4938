"""Setting A, baseline: X-Restormer from random weights on RESIDE-6k, generalization to REVIDE."""

_base_ = [
    '../_base_/stages/paper/scratch.py',
    '../_base_/datasets/setting_a_hazy.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='XRestormer')),
    timesteps='paper',
    step=dict(micro_batch_size=2),
)
