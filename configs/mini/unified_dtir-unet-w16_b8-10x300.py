"""Ten tasks on a CPU: 300 updates each, from the weights of the quickstart's pre-training."""

_base_ = [
    '../_base_/stages/paper_practical/unify.py',
    '../_base_/datasets/photos_unified.py',
    '../_base_/schedules/adam_cosine_mini_10x300.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(
        type='DtirUNet', width=16, channel_multipliers=(1, 2, 4), blocks_per_level=(1, 1),
        middle_blocks=2, attention=False,
    ), adapters=dict(param_budget=60_000)),
)  # fmt: skip
load_from = 'work_dirs/quickstart/pretrain'
