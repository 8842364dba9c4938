"""Setting A, stage 1: 500 K updates of noise prediction on one folder of clean images."""

_base_ = [
    '../stages/paper/pretrain.py',
    '../datasets/clean_pretrain.py',
    '../schedules/adam_cosine.py',
]
train_cfg = dict(max_iters=500_000)
