"""Pilot: 10 % generative samples and no other part of GEF."""

_base_ = './pilot_dtir-unet-w32_finetune_rainy_b16-2500.py'
model = dict(step=dict(regularizers=dict(importance=None, orthogonality=None)))
default_hooks = dict(layer_wise_decay=None)
