"""Table 10, without incremental training: all tasks together."""

_base_ = '../setting_b/dtir-unet_joint_8xb2-1m.py'
