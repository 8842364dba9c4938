"""Table 8, without layer-wise decay: generative gradient and lambda are equal in all layers."""

_base_ = '../setting_a/dtir-unet_finetune_snowy_b16-300k.py'
default_hooks = dict(layer_wise_decay=None)
