"""Pilot, without the importance penalty."""

_base_ = '../pilot_dtir-unet-w32_finetune_rainy_b16-2500.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
