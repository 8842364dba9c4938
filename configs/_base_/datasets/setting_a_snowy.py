"""Setting A: pairs of Snow100K in patches of 128 px; tests on Snow100K and, unseen, RealSnow."""

global_batch_size = 16
train_dataloader = dict(
    num_workers=4,
    dataset=dict(
        type='PairedFolderDataset',
        degraded='data/Snow100K/train/LQ',
        clean='data/Snow100K/train/GT',
        task='snowy',
        pipeline=[
            dict(type='RandomPatch', size=128),
            dict(type='RandomFlipTurn'),
            dict(type='PackSample'),
        ],
    ),
)
_test = [
    dict(
        type='PairedFolderDataset',
        degraded=f'data/{name}/test/LQ',
        clean=f'data/{name}/test/GT',
        task='snowy',
        domain=domain,
        pipeline=[dict(type='PackSample')],
    )
    for domain, name in (('source', 'Snow100K'), ('target', 'RealSnow'))
]
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=_test),
)
test_dataloader = val_dataloader
