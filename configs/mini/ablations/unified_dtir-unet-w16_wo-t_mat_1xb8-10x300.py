"""Ten mini tasks, without matching: one time step, 1, for every degradation."""

_base_ = '../unified_dtir-unet-w16_1xb8-10x300.py'
model = dict(timesteps='fixed:1')
