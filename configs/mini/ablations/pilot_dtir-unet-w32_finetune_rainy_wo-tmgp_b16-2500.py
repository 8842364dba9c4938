"""Pilot, without pre-training: random weights, so there is no L_reg."""

_base_ = '../pilot_dtir-unet-w32_finetune_rainy_b16-2500.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
load_from = None
