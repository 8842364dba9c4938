"""Baseline: the same 1200 updates from random weights, reconstruction loss only."""

_base_ = './quick_dtir-unet-w16_scratch_noisy_1xb8-1200.py'
train_dataloader = dict(dataset=dict(task='low_light'))
val_dataloader = dict(dataset=dict(task='low_light'))
test_dataloader = dict(dataset=dict(task='low_light'))
