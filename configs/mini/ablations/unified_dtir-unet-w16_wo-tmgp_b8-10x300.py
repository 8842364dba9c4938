"""Ten mini tasks, without pre-training, so L_reg has nothing to keep."""

_base_ = '../unified_dtir-unet-w16_b8-10x300.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
load_from = None
