"""Setting A: trained on RESIDE-6k, REVIDE unseen."""

_base_ = './paired_finetune.py'
train_dataloader = dict(
    dataset=dict(degraded='data/RESIDE-6k/train/LQ', clean='data/RESIDE-6k/train/GT', task='hazy')
)
_domains_ = [('source', 'data/RESIDE-6k/test'), ('target', 'data/REVIDE/test')]
_test_ = [
    dict(
        type='PairedFolderDataset',
        degraded=f'{folder}/LQ',
        clean=f'{folder}/GT',
        task='hazy',
        domain=domain,
        pipeline=[dict(type='PackSample')],
    )
    for domain, folder in _domains_
]
val_dataloader = dict(dataset=dict(datasets=_test_))
test_dataloader = dict(dataset=dict(datasets=_test_))
