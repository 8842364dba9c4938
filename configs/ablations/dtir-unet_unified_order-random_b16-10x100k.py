"""Table 10, tasks join in a random order, drawn from the seed."""

_base_ = '../setting_b/dtir-unet_unified_b16-10x100k.py'
default_hooks = dict(incremental_tasks=dict(order='random'))
