"""Photographs that ``tools/prepare_photos.py`` collects, in patches of 32 px, for pre-training."""

pipeline = [
    dict(type='RandomPatch', size=32),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(
        type='CleanPhotosDataset', folder='data/photos/train', pipeline=pipeline, cache=True
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CleanPhotosDataset', folder='data/photos/val', pipeline=pipeline),
)
