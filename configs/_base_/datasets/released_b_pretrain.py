"""The clean training images of all ten tasks of Setting B, under flips."""

_base_ = './setting_b_pretrain.py'
_pipeline = [
    dict(type='RandomPatch', size=128),
    dict(type='RandomFlip'),
    dict(type='PackSample'),
]
_train, _val = (
    [dict(part, pipeline=_pipeline) for part in loader.dataset.datasets]
    for loader in (_base_.train_dataloader, _base_.val_dataloader)
)
train_dataloader = dict(dataset=dict(datasets=_train))
val_dataloader = dict(dataset=dict(datasets=_val))
