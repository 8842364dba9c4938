"""Setting B: ten data sets in the layout of DA-CLIP, ``universal/{train,val}/<task>/{LQ,GT}``."""

_folders = dict(
    noisy='noisy',
    rainy='rainy',
    jpeg='jpeg-compressed',
    snowy='snowy',
    inpainting='uncompleted',
    raindrop='raindrop',
    shadowed='shadowed',
    low_light='low-light',
    hazy='hazy',
    blurry='motion-blurry',
)
_patches = [
    dict(type='RandomPatch', size=128),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
_train, _test = (
    [
        dict(
            type='PairedFolderDataset',
            degraded=f'data/universal/{split}/{folder}/LQ',
            clean=f'data/universal/{split}/{folder}/GT',
            task=task,
            pipeline=pipeline,
        )
        for task, folder in _folders.items()
    ]
    for split, pipeline in (('train', _patches), ('val', [dict(type='PackSample')]))
)
global_batch_size = 16
train_dataloader = dict(
    num_workers=4,
    sampler=dict(type='TaskMixtureSampler'),
    dataset=dict(type='TaskMixtureDataset', datasets=_train),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=_test),
)
test_dataloader = val_dataloader
