"""Table 7, without matching: one time step, 1, whatever the degradation."""

_base_ = '../setting_a/dtir-unet_finetune_rainy_8xb2-300k.py'
model = dict(timesteps='fixed:1')
