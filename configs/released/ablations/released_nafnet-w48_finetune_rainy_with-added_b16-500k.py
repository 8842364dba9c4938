"""As in the preprint: the generative loss is added in the updates that compute it."""

_base_ = '../released_nafnet-w48_finetune_rainy_b16-500k.py'
model = dict(step=dict(mixing=dict(added=True)))
