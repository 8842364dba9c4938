"""Setting A, baseline: the authors' NAFNet on LOL-v1 from random weights, the same losses."""

_base_ = [
    '../_base_/stages/released/scratch.py',
    '../_base_/datasets/setting_a_low_light.py',
    '../_base_/schedules/released_500k.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(
        type='ConditionedBackbone', backbone=dict(type='ReleasedNAFNet'),
        time_embedding=dict(type='GatedTimeEmbedding'), neutral_films=False,
    ),
    timesteps='paper',
    step=dict(micro_batch_size=2),
)  # fmt: skip
