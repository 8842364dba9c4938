"""Ten mini tasks, without incremental training: all tasks together."""

_base_ = '../unified_dtir-unet-w16_b8-10x300.py'
default_hooks = dict(incremental_tasks=dict(data='joint'), importance=dict(n_batches=0))
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False)
