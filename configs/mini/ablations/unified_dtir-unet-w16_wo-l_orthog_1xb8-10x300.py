"""Ten mini tasks, without the orthogonality of gradients."""

_base_ = '../unified_dtir-unet-w16_1xb8-10x300.py'
model = dict(step=dict(regularizers=dict(orthogonality=None)))
