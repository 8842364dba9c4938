"""Setting B, beyond the paper: finding out the degradation, for the blind rows."""

_base_ = [
    '../stages/classify.py',
    '../datasets/setting_b.py',
    '../schedules/adam_cosine.py',
]
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_iters=100_000, val_interval=100_000)
