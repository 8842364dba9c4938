"""Pairs from 16 photographs of BSDS500, four draws each; tests on half of CBSD68."""

global_batch_size = 16
train_dataloader = dict(
    num_workers=2,
    dataset=dict(
        type='DegradedPhotosDataset',
        folder='data/BSDS500',
        shrink=0.6,
        max_photos=16,
        draws=4,
        cache=True,
        pipeline=[
            dict(type='RandomPatch', size=64),
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
        folder='data/CBSD68',
        shrink=1.0,
        max_photos=8,
        severities=('source', 'target'),
        pipeline=[dict(type='PackSample')],
    ),
)
test_dataloader = dict(val_dataloader, dataset=dict(val_dataloader['dataset'], max_photos=34))
