"""Setting A: pairs of RESIDE-6k in patches of 128 px; tests on RESIDE-6k and, unseen, REVIDE."""

global_batch_size = 16
train_dataloader = dict(
    num_workers=4,
    dataset=dict(
        type='PairedFolderDataset',
        degraded='data/RESIDE-6k/train/LQ',
        clean='data/RESIDE-6k/train/GT',
        task='hazy',
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
        task='hazy',
        domain=domain,
        pipeline=[dict(type='PackSample')],
    )
    for domain, name in (('source', 'RESIDE-6k'), ('target', 'REVIDE'))
]
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=_test),
)
test_dataloader = val_dataloader
