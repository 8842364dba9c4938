"""Setting B, stage 1: noise prediction on the clean training images of all ten tasks."""

_base_ = [
    '../stages/paper/pretrain.py',
    '../datasets/setting_b_pretrain.py',
    '../schedules/adam_cosine.py',
]
train_cfg = dict(max_iters=500_000)
