"""Setting A, baseline: trained on RESIDE-6k from random weights, generalization to REVIDE."""

_base_ = [
    '../stages/paper/scratch.py',
    '../datasets/setting_a_hazy.py',
    '../schedules/adam_cosine.py',
]
model = dict(timesteps='paper')
