"""Baseline: the same 1000 updates, losses and pairs, from random weights."""

_base_ = [
    '../_base_/backbones/dtir_unet_w16.py',
    '../_base_/stages/paper_practical/scratch.py',
    '../_base_/datasets/photos_finetune.py',
    '../_base_/schedules/adam_cosine_mini.py',
]
model = dict(backbone=_base_.backbone, timesteps='work_dirs/quickstart/timesteps.json')
train_dataloader = dict(dataset=dict(task='noisy'))
val_dataloader = dict(dataset=dict(task='noisy'))
test_dataloader = dict(dataset=dict(task='noisy'))
train_cfg = dict(max_iters=1000, val_interval=1000)
precision = 'fp32'  # so that the same seed gives the same table
