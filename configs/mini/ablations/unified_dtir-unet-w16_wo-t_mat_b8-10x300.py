"""Ten mini tasks, without matching: t = 1 for every degradation."""

_base_ = '../unified_dtir-unet-w16_b8-10x300.py'
model = dict(timesteps='fixed:1')
