"""Ten mini tasks, without pre-training: there is no L_reg."""

_base_ = '../unified_dtir-unet-w16_b8-10x300.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
load_from = None
