"""Pairs from 16 photographs at half size, in patches of 32 px; tests on other photographs.

The usual situation of a user: few pairs, many clean images.
"""

global_batch_size = 8
train_dataloader = dict(
    num_workers=2,
    dataset=dict(
        type='DegradedPhotosDataset',
        folder='data/photos/train',
        shrink=0.5,
        max_photos=16,
        draws=4,
        cache=True,
        pipeline=[
            dict(type='RandomPatch', size=32),
            dict(type='RandomFlipTurn'),
            dict(type='PackSample'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DegradedPhotosDataset',
        folder='data/photos/val',
        shrink=0.5,
        severities=('source', 'target'),
        pipeline=[dict(type='PackSample')],
    ),
)
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], folder='data/photos/test')
)
