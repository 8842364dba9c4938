"""Ten mini tasks, without pre-training, which leaves nothing for L_reg to keep."""

_base_ = '../unified_dtir-unet-w16_1xb8-10x300.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
load_from = None
