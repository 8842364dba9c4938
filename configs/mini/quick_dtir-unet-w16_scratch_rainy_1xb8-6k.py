"""Baseline: the same 6000 updates from random weights, reconstruction loss only."""

_base_ = './quick_dtir-unet-w16_scratch_noisy_1xb8-1200.py'
train_dataloader = dict(dataset=dict(task='rainy'))
val_dataloader = dict(dataset=dict(task='rainy'))
test_dataloader = dict(dataset=dict(task='rainy'))
train_cfg = dict(max_iters=6000, val_interval=2000)
