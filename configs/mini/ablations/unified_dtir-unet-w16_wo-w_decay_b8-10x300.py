"""Ten mini tasks, without layer-wise decay: generative gradient and lambda reach every layer."""

_base_ = '../unified_dtir-unet-w16_b8-10x300.py'
default_hooks = dict(layer_wise_decay=None)
