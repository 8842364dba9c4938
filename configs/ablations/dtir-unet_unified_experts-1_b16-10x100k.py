"""Table 10, 1 expert instead of 10, at the same number of parameters."""

_base_ = '../setting_b/dtir-unet_unified_b16-10x100k.py'
model = dict(backbone=dict(adapters=dict(num_experts=1)))
