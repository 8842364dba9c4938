"""Adam and cosine annealing as in the released code; its batch is 16 in all, nothing is clipped."""

_base_ = './adam_cosine.py'
param_scheduler = dict(eta_min=1e-7)
train_cfg = dict(max_iters=500_000)
