"""Ten synthetic degradations of the photographs of ``tools/prepare_photos.py``, at half size."""

_base_ = './photos_finetune.py'
_tasks_ = [
    'noisy', 'rainy', 'jpeg', 'snowy', 'inpainting',
    'raindrop', 'shadowed', 'low_light', 'hazy', 'blurry',
]  # fmt: skip
_train_ = {**_base_.train_dataloader.dataset, 'max_photos': None, 'draws': 1}
_train_datasets_ = [dict(_train_, task=task) for task in _tasks_]
_val_ = {**_base_.val_dataloader.dataset, 'severities': ('source',), 'max_photos': 2}
_test_ = _base_.test_dataloader.dataset
train_dataloader = dict(
    sampler=dict(type='TaskMixtureSampler'),
    dataset=dict(
        _delete_=True,
        type='TaskMixtureDataset',
        datasets=_train_datasets_,
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True, type='ConcatDataset', datasets=[dict(_val_, task=task) for task in _tasks_]
    )
)
_clean_ = dict(
    type='CleanPhotosDataset', folder='data/photos/test', shrink=0.5, as_pairs=True,
    pipeline=[dict(type='PackSample')],
)  # fmt: skip
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[*[dict(_test_, task=task) for task in _tasks_], _clean_],
    )
)
