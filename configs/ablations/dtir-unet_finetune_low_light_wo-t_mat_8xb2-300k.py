"""Table 9, without matching: one time step, 1, whatever the degradation."""

_base_ = '../setting_a/dtir-unet_finetune_low_light_8xb2-300k.py'
model = dict(timesteps='fixed:1')
