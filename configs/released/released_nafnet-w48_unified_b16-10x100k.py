"""Setting B, stage 3: ten tasks join, the authors' NAFNet learns each for 100 K updates."""

_base_ = [
    '../_base_/stages/released/unify.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/released_10x100k.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(
        type='ConditionedBackbone', backbone=dict(type='ReleasedNAFNet'),
        time_embedding=dict(type='GatedTimeEmbedding'), neutral_films=False,
    ),
    step=dict(micro_batch_size=2),
)  # fmt: skip
train_dataloader = dict(sampler=dict(shares='size'))  # concatenated: larger data sets weigh more
load_from = 'work_dirs/released_nafnet-w48_pretrain_b16-100k'
