"""Generative pre-training of PlainResNet."""

_base_ = [
    '../../configs/_base_/stages/paper/pretrain.py',
    '../../configs/_base_/datasets/photos_pretrain.py',
    '../../configs/_base_/schedules/adam_cosine_mini.py',
    '../../configs/_base_/runtime.py',
]
custom_imports = dict(imports=['plain_resnet'], allow_failed_imports=False)
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='PlainResNet', width=24)),
)
train_cfg = dict(max_iters=2000, val_interval=1000)
precision = 'fp32'
