"""Pilot, without the orthogonality of gradients."""

_base_ = '../pilot_dtir-unet-w32_finetune_rainy_b16-2500.py'
model = dict(step=dict(regularizers=dict(orthogonality=None)))
