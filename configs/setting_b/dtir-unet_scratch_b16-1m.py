"""Setting B, baseline: the U-Net from random weights, ten tasks together, blind."""

_base_ = [
    '../_base_/stages/paper/scratch.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet')),
    timesteps='fixed:1',  # one time step for all tasks carries no information: blind
    step=dict(micro_batch_size=2),
)
train_cfg = dict(max_iters=1_000_000, val_interval=100_000)
