"""All kinds of degradation, for one blind network; validation and test are the ten tasks."""

_base_ = './photos_unified.py'
train_dataloader = dict(
    _delete_=True,
    num_workers=1,
    dataset=dict(
        type='BlindPhotosDataset',
        folder='data/photos/train',
        cache=True,
        pipeline=[
            dict(type='RandomPatch', size=64),
            dict(type='RandomFlipTurn'),
            dict(type='HideTask'),
            dict(type='PackSample'),
        ],
    ),
)
