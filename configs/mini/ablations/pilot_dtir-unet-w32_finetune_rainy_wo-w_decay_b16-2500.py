"""Pilot, without layer-wise decay: generative gradient and lambda are equal in all layers."""

_base_ = '../pilot_dtir-unet-w32_finetune_rainy_b16-2500.py'
default_hooks = dict(layer_wise_decay=None)
