"""Baseline: the same 1200 updates from random weights, reconstruction loss only."""

_base_ = './quick_dtir-unet-w16_finetune_low_light_1xb8-1200.py'
model = dict(mix_ratio=0.0)
load_from = None
