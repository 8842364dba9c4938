"""Setting B: ten data sets in the layout of DA-CLIP, ``universal/{train,val}/<task>/{LQ,GT}``."""

_base_ = './paired_finetune.py'
_folders_ = dict(
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
_train_, _test_ = (
    [
        dict(
            type='PairedFolderDataset',
            degraded=f'data/universal/{split}/{folder}/LQ',
            clean=f'data/universal/{split}/{folder}/GT',
            task=task,
            pipeline=pipeline,
        )
        for task, folder in _folders_.items()
    ]
    for split, pipeline in (
        ('train', _base_.train_dataloader.dataset.pipeline),
        ('val', [dict(type='PackSample')]),
    )
)
train_dataloader = dict(
    sampler=dict(type='TaskMixtureSampler'),
    dataset=dict(_delete_=True, type='TaskMixtureDataset', datasets=_train_),
)
val_dataloader = dict(dataset=dict(datasets=_test_))
test_dataloader = dict(dataset=dict(datasets=_test_))
