"""Table 10, without pre-training: there is no L_reg."""

_base_ = '../setting_b/dtir-unet_unified_b16-10x100k.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
load_from = None
