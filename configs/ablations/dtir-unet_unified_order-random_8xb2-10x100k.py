"""Table 10, tasks join in an order that the seed draws."""

_base_ = '../setting_b/dtir-unet_unified_8xb2-10x100k.py'
default_hooks = dict(incremental_tasks=dict(order='random'))
