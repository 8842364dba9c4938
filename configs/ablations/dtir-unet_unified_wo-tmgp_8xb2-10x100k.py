"""Table 10, without pre-training, which leaves nothing for L_reg to keep."""

_base_ = '../setting_b/dtir-unet_unified_8xb2-10x100k.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
load_from = None
