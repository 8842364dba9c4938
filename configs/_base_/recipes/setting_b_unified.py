"""Setting B, stage 3: ten tasks join, each for 100 K updates."""

_base_ = [
    '../stages/paper/unify.py',
    '../datasets/setting_b.py',
    '../schedules/adam_cosine_10x100k.py',
]
