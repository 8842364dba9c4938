"""Setting A: trained on LOL-v1, LOL-v2 unseen."""

_base_ = './paired_finetune.py'
train_dataloader = dict(
    dataset=dict(degraded='data/LOL-v1/train/LQ', clean='data/LOL-v1/train/GT', task='low_light')
)
_domains_ = [('source', 'data/LOL-v1/test'), ('target', 'data/LOL-v2/test')]
_test_ = [
    dict(
        type='PairedFolderDataset',
        degraded=f'{folder}/LQ',
        clean=f'{folder}/GT',
        task='low_light',
        domain=domain,
        pipeline=[dict(type='PackSample')],
    )
    for domain, folder in _domains_
]
val_dataloader = dict(dataset=dict(datasets=_test_))
test_dataloader = dict(dataset=dict(datasets=_test_))
