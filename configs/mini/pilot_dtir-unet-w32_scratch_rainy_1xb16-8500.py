"""Pilot, baseline with the updates of both stages."""

_base_ = './pilot_dtir-unet-w32_scratch_rainy_1xb16-2500.py'
train_cfg = dict(max_iters=8500, val_interval=8500)
