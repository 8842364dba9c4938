"""Setting A: trained on Snow100K, RealSnow unseen."""

_base_ = './paired_finetune.py'
train_dataloader = dict(
    dataset=dict(degraded='data/Snow100K/train/LQ', clean='data/Snow100K/train/GT', task='snowy')
)
_domains_ = [('source', 'data/Snow100K/test'), ('target', 'data/RealSnow/test')]
_test_ = [
    dict(
        type='PairedFolderDataset',
        degraded=f'{folder}/LQ',
        clean=f'{folder}/GT',
        task='snowy',
        domain=domain,
        pipeline=[dict(type='PackSample')],
    )
    for domain, folder in _domains_
]
val_dataloader = dict(dataset=dict(datasets=_test_))
test_dataloader = dict(dataset=dict(datasets=_test_))
