"""Ten mini tasks, without adapters."""

_base_ = '../unified_dtir-unet-w16_b8-10x300.py'
model = dict(backbone=dict(adapters=None))
