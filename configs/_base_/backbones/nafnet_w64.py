"""NAFNet, width 64 (67.9 M parameters, "67.8M" in Table 5), of mmagic; time enters once a stage."""

_base_ = './nafnet_w32.py'
backbone = dict(backbone=dict(mid_channels=64))
