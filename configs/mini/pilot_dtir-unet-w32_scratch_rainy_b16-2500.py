"""Pilot, baseline: the same 2500 updates from random weights, reconstruction loss only."""

_base_ = './pilot_dtir-unet-w32_finetune_rainy_b16-2500.py'
model = dict(
    step=dict(mixing=dict(ratio=0.0), regularizers=dict(importance=None, orthogonality=None))
)
default_hooks = dict(layer_wise_decay=None)
load_from = None
