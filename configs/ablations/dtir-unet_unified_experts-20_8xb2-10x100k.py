"""Table 10, 20 experts in the place of 10, at the same number of parameters."""

_base_ = '../setting_b/dtir-unet_unified_8xb2-10x100k.py'
model = dict(backbone=dict(adapters=dict(num_experts=20)))
