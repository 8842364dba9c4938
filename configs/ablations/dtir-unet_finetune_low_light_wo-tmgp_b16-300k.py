"""Table 9, without pre-training: random weights, so there is no L_reg."""

_base_ = '../setting_a/dtir-unet_finetune_low_light_b16-300k.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
load_from = None
