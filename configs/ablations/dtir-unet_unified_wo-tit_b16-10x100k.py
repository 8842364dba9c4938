"""Table 10, without incremental training: all tasks together."""

_base_ = '../setting_b/dtir-unet_unified_b16-10x100k.py'
default_hooks = dict(incremental_tasks=dict(data='joint'), importance=dict(n_batches=0))
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False)
