"""Setting A, baseline: trained on Snow100K from random weights, generalization to RealSnow."""

_base_ = [
    '../stages/paper/scratch.py',
    '../datasets/setting_a_snowy.py',
    '../schedules/adam_cosine.py',
]
model = dict(timesteps='paper')
