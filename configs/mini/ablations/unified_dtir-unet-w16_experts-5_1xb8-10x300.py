"""Ten mini tasks, 5 experts in the place of 10, at the same number of parameters."""

_base_ = '../unified_dtir-unet-w16_1xb8-10x300.py'
model = dict(backbone=dict(adapters=dict(num_experts=5)))
