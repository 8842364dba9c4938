"""Ten mini tasks, tasks join in an order that the seed draws."""

_base_ = '../unified_dtir-unet-w16_1xb8-10x300.py'
default_hooks = dict(incremental_tasks=dict(order='random'))
