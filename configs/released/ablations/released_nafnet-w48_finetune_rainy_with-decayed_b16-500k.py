"""As in the preprint: the generative loss is added, under the layer-wise decay."""

_base_ = '../released_nafnet-w48_finetune_rainy_b16-500k.py'
model = dict(step=dict(mixing=dict(added=True)))
default_hooks = dict(layer_wise_decay=dict(type='LayerWiseDecayHook', rate=0.05, gate='scalar'))
