"""Setting B, stage 1: the authors' NAFNet learns to denoise the clean images of all ten tasks."""

_base_ = [
    '../_base_/stages/released/pretrain.py',
    '../_base_/datasets/released_b_pretrain.py',
    '../_base_/schedules/released_500k.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(
        type='ConditionedBackbone', backbone=dict(type='ReleasedNAFNet'),
        time_embedding=dict(type='GatedTimeEmbedding'), neutral_films=False,
    ),
    step=dict(micro_batch_size=2),
)  # fmt: skip
train_cfg = dict(max_iters=100_000)
