"""Photographs of ``tools/prepare_photos.py`` at half size, in patches of 32 px."""

global_batch_size = 8
_pipeline = [
    dict(type='RandomPatch', size=32),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
train_dataloader = dict(
    num_workers=2,
    dataset=dict(
        type='CleanPhotosDataset',
        folder='data/photos/train',
        shrink=0.5,
        cache=True,
        pipeline=_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CleanPhotosDataset', folder='data/photos/val', shrink=0.5, pipeline=_pipeline
    ),
)
