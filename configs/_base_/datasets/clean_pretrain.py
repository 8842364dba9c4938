"""Clean images of a folder, in patches of 128 px, two a process."""

pipeline = [
    dict(type='RandomPatch', size=128),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
train_dataloader = dict(
    batch_size=2, num_workers=4, dataset=dict(type='CleanPhotosDataset', pipeline=pipeline)
)
val_dataloader = dict(
    batch_size=2,
    num_workers=2,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CleanPhotosDataset', pipeline=pipeline),
)
