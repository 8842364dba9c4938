"""Setting A, stage 1: the authors' NAFNet learns to denoise the clean images of Rain100L."""

_base_ = [
    '../_base_/stages/released/pretrain.py',
    '../_base_/datasets/released_pretrain.py',
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
train_dataloader = dict(dataset=dict(folder='data/Rain100L/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/Rain100L/test/GT'))
train_cfg = dict(max_iters=100_000)
