"""The clean training images of all ten tasks of Setting B."""

_base_ = './clean_pretrain.py'
_folders_ = [
    'noisy', 'rainy', 'jpeg-compressed', 'snowy', 'uncompleted',
    'raindrop', 'shadowed', 'low-light', 'hazy', 'motion-blurry',
]  # fmt: skip
_train_, _val_ = (
    [
        dict(
            type='CleanPhotosDataset',
            folder=f'data/universal/{split}/{folder}/GT',
            pipeline=_base_.pipeline,
        )
        for folder in _folders_
    ]
    for split in ('train', 'val')
)
train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=_train_))
val_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=_val_))
