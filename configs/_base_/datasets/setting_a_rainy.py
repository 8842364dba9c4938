"""Setting A: trained on Rain100L, Rain100H unseen."""

_base_ = './paired_finetune.py'
train_dataloader = dict(
    dataset=dict(degraded='data/Rain100L/train/LQ', clean='data/Rain100L/train/GT', task='rainy')
)
_domains_ = [('source', 'data/Rain100L/test'), ('target', 'data/Rain100H/test')]
_test_ = [
    dict(
        type='PairedFolderDataset',
        degraded=f'{folder}/LQ',
        clean=f'{folder}/GT',
        task='rainy',
        domain=domain,
        pipeline=[dict(type='PackSample')],
    )
    for domain, folder in _domains_
]
val_dataloader = dict(dataset=dict(datasets=_test_))
test_dataloader = dict(dataset=dict(datasets=_test_))
