"""Setting B, baseline: the bare network learns ten tasks together, and is told of none.

One time step for all of them leaves nothing of time but constants: the rows of Table 2 that carry
a network's name alone are blind too.
"""

_base_ = [
    '../stages/paper/scratch.py',
    '../datasets/setting_b.py',
    '../schedules/adam_cosine.py',
]
model = dict(timesteps='fixed:1')
train_cfg = dict(max_iters=1_000_000, val_interval=100_000)
