"""Baseline: the same 6000 updates from random weights, reconstruction loss only."""

_base_ = './quick_dtir-unet-w16_finetune_rainy_1xb8-6k.py'
model = dict(mix_ratio=0.0)
load_from = None
