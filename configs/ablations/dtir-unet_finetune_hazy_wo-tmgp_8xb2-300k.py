"""Table 6, without pre-training: random weights, which leave nothing for L_reg to keep."""

_base_ = '../setting_a/dtir-unet_finetune_hazy_8xb2-300k.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
load_from = None
