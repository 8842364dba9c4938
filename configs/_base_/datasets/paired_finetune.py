"""Pairs of files with the same stem, in patches of 128 px, two a process."""

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    dataset=dict(
        type='PairedFolderDataset',
        pipeline=[
            dict(type='RandomPatch', size=128),
            dict(type='RandomFlipTurn'),
            dict(type='PackSample'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset'),
)
test_dataloader = val_dataloader
