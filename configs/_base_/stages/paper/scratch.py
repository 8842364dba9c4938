"""Baseline: the network and updates of stage 2 from random weights, reconstruction loss only."""

_base_ = './finetune.py'
model = dict(
    step=dict(mixing=dict(ratio=0.0), regularizers=dict(importance=None, orthogonality=None))
)
default_hooks = dict(importance=None, layer_wise_decay=None)
