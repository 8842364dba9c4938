"""As in the preprint: the importance penalty acts in every update."""

_base_ = '../released_nafnet-w48_finetune_rainy_b16-500k.py'
model = dict(step=dict(regularizers=dict(importance=dict(share=1.0))))
