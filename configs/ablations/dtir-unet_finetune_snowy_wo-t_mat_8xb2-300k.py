"""Table 8, without matching: one time step, 1, whatever the degradation."""

_base_ = '../setting_a/dtir-unet_finetune_snowy_8xb2-300k.py'
model = dict(timesteps='fixed:1')
