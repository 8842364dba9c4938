"""Quickstart, stage 2: 1200 updates on noise, from the pre-trained weights."""

_base_ = './quick_dtir-unet-w16_finetune_rainy_1xb8-1200.py'
train_dataloader = dict(dataset=dict(task='noisy'))
val_dataloader = dict(dataset=dict(task='noisy'))
test_dataloader = dict(dataset=dict(task='noisy'))
