"""Pilot, baseline: the same 2500 updates from random weights, reconstruction loss only."""

_base_ = './pilot_dtir-unet-w32_finetune_rainy_1xb16-2500.py'
model = dict(mix_ratio=0.0)
load_from = None
