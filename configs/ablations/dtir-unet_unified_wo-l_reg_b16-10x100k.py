"""Table 10, without the importance penalty."""

_base_ = '../setting_b/dtir-unet_unified_b16-10x100k.py'
model = dict(step=dict(regularizers=dict(importance=dict(form='none'))))
