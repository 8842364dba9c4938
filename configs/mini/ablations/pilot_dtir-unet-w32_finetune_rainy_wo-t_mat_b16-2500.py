"""Pilot, without matching: t = 1 for every degradation."""

_base_ = '../pilot_dtir-unet-w32_finetune_rainy_b16-2500.py'
model = dict(timesteps='fixed:1')
