"""Table 10, without layer-wise decay: generative gradient and lambda reach every layer."""

_base_ = '../setting_b/dtir-unet_unified_b16-10x100k.py'
default_hooks = dict(layer_wise_decay=None)
