"""Table 10, tasks join in descending order of their time steps."""

_base_ = '../setting_b/dtir-unet_unified_b16-10x100k.py'
default_hooks = dict(incremental_tasks=dict(order='desc'))
