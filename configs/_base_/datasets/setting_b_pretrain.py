"""The clean training images of all ten tasks of Setting B."""

_folders = [
    'noisy', 'rainy', 'jpeg-compressed', 'snowy', 'uncompleted',
    'raindrop', 'shadowed', 'low-light', 'hazy', 'motion-blurry',
]  # fmt: skip
_pipeline = [
    dict(type='RandomPatch', size=128),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
_train, _val = (
    [
        dict(
            type='CleanPhotosDataset',
            folder=f'data/universal/{split}/{folder}/GT',
            pipeline=_pipeline,
        )
        for folder in _folders
    ]
    for split in ('train', 'val')
)
global_batch_size = 16
train_dataloader = dict(num_workers=4, dataset=dict(type='ConcatDataset', datasets=_train))
val_dataloader = dict(
    batch_size=2,
    num_workers=2,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=_val),
)
