"""Table 7, without layer-wise decay: the generative gradient and lambda reach every layer alike."""

_base_ = '../setting_a/dtir-unet_finetune_rainy_b16-300k.py'
default_hooks = dict(layer_wise_decay=None)
