"""Setting A, stage 1: the U-Net learns to denoise the clean images of Snow100K."""

_base_ = [
    '../_base_/stages/released/pretrain.py',
    '../_base_/datasets/released_pretrain.py',
    '../_base_/schedules/released_500k.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet')),
    step=dict(micro_batch_size=2),
)
train_dataloader = dict(dataset=dict(folder='data/Snow100K/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/Snow100K/test/GT'))
train_cfg = dict(max_iters=100_000)
