"""As the preprint has it: the importance penalty acts in every update."""

_base_ = '../released_nafnet-w48_finetune_rainy_8xb2-500k.py'
model = dict(step=dict(regularizers=dict(importance=dict(share=1.0))))
