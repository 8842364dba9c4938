"""Table 9, without the orthogonality of gradients."""

_base_ = '../setting_a/dtir-unet_finetune_low_light_b16-300k.py'
model = dict(step=dict(regularizers=dict(orthogonality=None)))
