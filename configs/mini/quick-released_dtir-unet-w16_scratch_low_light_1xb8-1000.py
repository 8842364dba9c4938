"""Baseline: the same 1000 updates, losses and pairs, from random weights."""

_base_ = './quick-released_dtir-unet-w16_scratch_noisy_1xb8-1000.py'
train_dataloader = dict(dataset=dict(task='low_light'))
val_dataloader = dict(dataset=dict(task='low_light'))
test_dataloader = dict(dataset=dict(task='low_light'))
