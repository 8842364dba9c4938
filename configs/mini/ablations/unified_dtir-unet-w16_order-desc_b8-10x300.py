"""Ten mini tasks, tasks join in descending order of their time steps."""

_base_ = '../unified_dtir-unet-w16_b8-10x300.py'
default_hooks = dict(incremental_tasks=dict(order='desc'))
