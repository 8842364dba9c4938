"""Setting B without TIT: the ten tasks together, for 1 M updates."""

_base_ = [
    '../stages/paper/joint.py',
    '../datasets/setting_b.py',
    '../schedules/adam_cosine_joint_1m.py',
]
