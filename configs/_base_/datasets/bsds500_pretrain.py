"""BSDS500 without the images of CBSD68, at 60 % of their size, in patches of 64 px."""

_base_ = './photos_pretrain.py'
global_batch_size = 16
_pipeline = [
    dict(type='RandomPatch', size=64),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
train_dataloader = dict(dataset=dict(folder='data/BSDS500', shrink=0.6, pipeline=_pipeline))
val_dataloader = dict(dataset=dict(folder='data/CBSD68', shrink=0.6, pipeline=_pipeline))
