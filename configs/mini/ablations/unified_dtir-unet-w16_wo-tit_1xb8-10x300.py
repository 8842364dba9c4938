"""Ten mini tasks, without incremental training: all tasks together."""

_base_ = '../unified_dtir-unet-w16_joint_1xb8-3k.py'
