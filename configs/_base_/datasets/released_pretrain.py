"""Clean images of a folder, in patches of 128 px under flips, two a process."""

_base_ = './clean_pretrain.py'
pipeline = [
    dict(type='RandomPatch', size=128),
    dict(type='RandomFlip'),
    dict(type='PackSample'),
]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=pipeline))
