"""Pilot, without matching: one time step, 1, whatever the degradation."""

_base_ = '../pilot_dtir-unet-w32_finetune_rainy_1xb16-2500.py'
model = dict(timesteps='fixed:1')
