"""Setting B, baseline: NAFNet learns ten tasks together, blind."""

_base_ = [
    '../_base_/backbones/nafnet_w64.py',
    '../_base_/stages/released/scratch.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/released_500k.py',
]
model = dict(backbone=_base_.backbone, timesteps='fixed:1')
train_cfg = dict(max_iters=1_000_000, val_interval=100_000)
