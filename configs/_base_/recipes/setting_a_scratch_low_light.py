"""Setting A, baseline: trained on LOL-v1 from random weights, generalization to LOL-v2."""

_base_ = [
    '../stages/paper/scratch.py',
    '../datasets/setting_a_low_light.py',
    '../schedules/adam_cosine.py',
]
model = dict(timesteps='paper')
