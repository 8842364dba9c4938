"""Ten mini tasks, 20 experts instead of 10, at the same number of parameters."""

_base_ = '../unified_dtir-unet-w16_b8-10x300.py'
model = dict(backbone=dict(adapters=dict(num_experts=20)))
