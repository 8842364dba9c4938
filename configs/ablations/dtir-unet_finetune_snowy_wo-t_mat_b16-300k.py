"""Table 8, without matching: t = 1 for every degradation."""

_base_ = '../setting_a/dtir-unet_finetune_snowy_b16-300k.py'
model = dict(timesteps='fixed:1')
