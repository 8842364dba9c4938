"""Pilot: 10 % generative samples and nothing else of GEF."""

_base_ = './pilot_dtir-unet-w32_naive_rainy_1xb16-2500.py'
model = dict(step=dict(mixing=dict(ratio=0.1)))
