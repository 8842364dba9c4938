"""Clean images of a folder, in patches of 128 px."""

global_batch_size = 16
_pipeline = [
    dict(type='RandomPatch', size=128),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
train_dataloader = dict(num_workers=4, dataset=dict(type='CleanPhotosDataset', pipeline=_pipeline))
val_dataloader = dict(
    batch_size=2,
    num_workers=2,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CleanPhotosDataset', pipeline=_pipeline),
)
