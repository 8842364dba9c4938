"""Table 10, without adapters."""

_base_ = '../setting_b/dtir-unet_unified_b16-10x100k.py'
model = dict(backbone=dict(adapters=None))
