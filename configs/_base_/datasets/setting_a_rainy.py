"""Setting A: pairs of Rain100L in patches of 128 px; tests on Rain100L and, unseen, Rain100H."""

global_batch_size = 16
train_dataloader = dict(
    num_workers=4,
    dataset=dict(
        type='PairedFolderDataset',
        degraded='data/Rain100L/train/LQ',
        clean='data/Rain100L/train/GT',
        task='rainy',
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
        task='rainy',
        domain=domain,
        pipeline=[dict(type='PackSample')],
    )
    for domain, name in (('source', 'Rain100L'), ('target', 'Rain100H'))
]
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=_test),
)
test_dataloader = val_dataloader
