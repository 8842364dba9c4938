"""Setting A: pairs of LOL-v1 in patches of 128 px; tests on LOL-v1 and, unseen, LOL-v2."""

global_batch_size = 16
train_dataloader = dict(
    num_workers=4,
    dataset=dict(
        type='PairedFolderDataset',
        degraded='data/LOL-v1/train/LQ',
        clean='data/LOL-v1/train/GT',
        task='low_light',
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
        task='low_light',
        domain=domain,
        pipeline=[dict(type='PackSample')],
    )
    for domain, name in (('source', 'LOL-v1'), ('target', 'LOL-v2'))
]
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=_test),
)
test_dataloader = val_dataloader
