"""Setting A, baseline: trained on Rain100L from random weights, generalization to Rain100H."""

_base_ = [
    '../stages/paper/scratch.py',
    '../datasets/setting_a_rainy.py',
    '../schedules/adam_cosine.py',
]
model = dict(timesteps='paper')
