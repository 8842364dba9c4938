"""BSDS500 less the images of CBSD68, shrunk to 60 %, in patches of 64 px, for pre-training."""

_base_ = './photos_pretrain.py'
pipeline = [
    dict(type='RandomPatch', size=64),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
train_dataloader = dict(
    batch_size=16,
    dataset=dict(folder='data/BSDS500', shrink=0.6, pipeline=pipeline),
)
val_dataloader = dict(dataset=dict(folder='data/CBSD68', shrink=0.6, pipeline=pipeline))
