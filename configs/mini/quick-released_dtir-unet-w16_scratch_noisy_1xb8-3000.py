"""Baseline with the updates of both stages, from random weights."""

_base_ = './quick-released_dtir-unet-w16_scratch_noisy_1xb8-1000.py'
train_cfg = dict(max_iters=3000, val_interval=1000)
