"""Pairs from 16 photographs of BSDS500, four draws each; tests on every second one of CBSD68."""

_base_ = './photos_finetune.py'
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        folder='data/BSDS500',
        shrink=0.6,
        pipeline=[
            dict(type='RandomPatch', size=64),
            dict(type='RandomFlipTurn'),
            dict(type='PackSample'),
        ],
    ),
)
val_dataloader = dict(dataset=dict(folder='data/CBSD68', shrink=1.0, max_photos=8))
test_dataloader = dict(dataset=dict(folder='data/CBSD68', shrink=1.0, max_photos=34))
