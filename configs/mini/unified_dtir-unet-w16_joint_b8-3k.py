"""Without TIT: the ten tasks together, for as many updates, with one cosine."""

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
default_hooks = dict(incremental_tasks=dict(data='joint'), importance=dict(n_batches=0))
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False)
load_from = 'work_dirs/quickstart/pretrain'
