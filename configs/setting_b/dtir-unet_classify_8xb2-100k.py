"""Setting B, beyond the paper: finding out the degradation, for the blind rows."""

_base_ = [
    '../_base_/backbones/dtir_unet.py',
    '../_base_/stages/classify.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/adam_cosine.py',
]
model = dict(backbone=_base_.backbone)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_iters=100_000, val_interval=100_000)
load_from = 'work_dirs/dtir-unet_unified_8xb2-10x100k'
