"""Table 6, without the orthogonality of gradients."""

_base_ = '../setting_a/dtir-unet_finetune_hazy_b16-300k.py'
model = dict(step=dict(regularizers=dict(orthogonality=None)))
