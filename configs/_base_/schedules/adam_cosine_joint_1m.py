"""The updates of ten stages, with one cosine."""

_base_ = './adam_cosine_10x100k.py'
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False)
