"""Ten synthetic degradations of the photographs of ``tools/prepare_photos.py``, at half size."""

_tasks = [
    'noisy', 'rainy', 'jpeg', 'snowy', 'inpainting',
    'raindrop', 'shadowed', 'low_light', 'hazy', 'blurry',
]  # fmt: skip
_patches = [dict(type='RandomPatch', size=32), dict(type='RandomFlipTurn'), dict(type='PackSample')]
_whole = [dict(type='PackSample')]
_photos = dict(type='DegradedPhotosDataset', shrink=0.5)
_train = dict(
    _photos, folder='data/photos/train', max_photos=None, draws=1, cache=True, pipeline=_patches
)
_val = dict(
    _photos, folder='data/photos/val', severities=('source',), max_photos=2, pipeline=_whole
)
_test = dict(_photos, folder='data/photos/test', severities=('source', 'target'), pipeline=_whole)
_clean = dict(
    type='CleanPhotosDataset', folder='data/photos/test', shrink=0.5, as_pairs=True, pipeline=_whole
)
_evaluation = dict(
    batch_size=1,
    num_workers=1,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
global_batch_size = 8
train_dataloader = dict(
    num_workers=2,
    sampler=dict(type='TaskMixtureSampler'),
    dataset=dict(type='TaskMixtureDataset', datasets=[dict(_train, task=task) for task in _tasks]),
)
val_dataloader = dict(
    _evaluation,
    dataset=dict(type='ConcatDataset', datasets=[dict(_val, task=task) for task in _tasks]),
)
test_dataloader = dict(
    _evaluation,
    dataset=dict(
        type='ConcatDataset', datasets=[*[dict(_test, task=task) for task in _tasks], _clean]
    ),
)
