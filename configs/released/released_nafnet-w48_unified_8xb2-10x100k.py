"""Setting B, stage 3: ten tasks join, the authors' NAFNet learns each for 100 K updates."""

_base_ = [
    '../_base_/backbones/nafnet_w48.py',
    '../_base_/stages/released/unify.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/released_10x100k.py',
]
model = dict(backbone=_base_.backbone)
train_dataloader = dict(sampler=dict(shares='size'))  # data sets concatenated: big ones weigh more
load_from = 'work_dirs/released_nafnet-w48_pretrain_8xb2-100k'
