"""A U-Net of 0.31 M parameters with its time conditioning, for any CPU."""

_base_ = './dtir_unet_w32.py'
backbone = dict(backbone=dict(width=16))
