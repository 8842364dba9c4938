"""Ten mini tasks, without the orthogonality of gradients."""

_base_ = '../unified_dtir-unet-w16_b8-10x300.py'
model = dict(step=dict(regularizers=dict(orthogonality=None)))
