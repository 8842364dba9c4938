"""Table 10, without matching: t = 1 for every degradation."""

_base_ = '../setting_b/dtir-unet_unified_b16-10x100k.py'
model = dict(timesteps='fixed:1')
