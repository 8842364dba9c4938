"""Setting B, baseline: the authors' NAFNet learns ten tasks together, blind."""

_base_ = [
    '../_base_/stages/released/scratch.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/released_500k.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(
        type='ConditionedBackbone', backbone=dict(type='ReleasedNAFNet'),
        time_embedding=dict(type='GatedTimeEmbedding'), neutral_films=False,
    ),
    timesteps='fixed:1',
    step=dict(micro_batch_size=2),
)  # fmt: skip
train_cfg = dict(max_iters=1_000_000, val_interval=100_000)
