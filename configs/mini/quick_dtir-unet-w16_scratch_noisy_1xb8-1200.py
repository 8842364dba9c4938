"""Baseline: the same 1200 updates from random weights, reconstruction loss only."""

_base_ = './quick_dtir-unet-w16_finetune_noisy_1xb8-1200.py'
model = dict(mix_ratio=0.0, importance_loss=None, orthogonality_loss=None)
default_hooks = dict(layer_wise_decay=None)
load_from = None
