"""Baseline: the network and updates of stage 2 from random weights, reconstruction loss alone."""

_base_ = './finetune.py'
model = dict(mix_ratio=0.0, importance_loss=None, orthogonality_loss=None)
default_hooks = dict(importance=None, layer_wise_decay=None)
