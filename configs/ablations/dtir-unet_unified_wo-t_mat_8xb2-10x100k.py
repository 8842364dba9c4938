"""Table 10, without matching: one time step, 1, for every degradation."""

_base_ = '../setting_b/dtir-unet_unified_8xb2-10x100k.py'
model = dict(timesteps='fixed:1')
