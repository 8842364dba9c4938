"""Pilot, without pre-training: random weights, which leave nothing for L_reg to keep."""

_base_ = '../pilot_dtir-unet-w32_finetune_rainy_1xb16-2500.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
load_from = None
