"""Pilot: 10 % generative samples and nothing else of GEF."""

_base_ = './pilot_dtir-unet-w32_naive_rainy_1xb16-2500.py'
model = dict(mix_ratio=0.1)
