"""Baseline: the network, content loss and updates of stage 2, from random weights."""

_base_ = '../paper/finetune.py'
model = dict(
    step=dict(
        objective=dict(losses=dict(fft=dict(type='FFTLoss', weight=0.1))),
        mixing=dict(ratio=0.0, cap=0.1),
        regularizers=dict(importance=None, orthogonality=None),
    )
)
default_hooks = dict(importance=None, layer_wise_decay=None)
