"""A second end of the training, on larger parts of larger crops: haze, shadow and blur more often.

Haze and shadows extend over an image, so that a patch of 192 px of a crop of 288 px shows only a
part of them. Crops are of the size of the photographs that the model is tested on.
"""

_base_ = [
    '../_base_/stages/blind/joint.py',
    '../_base_/datasets/photos_blind.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(backbone=dict(type='ConditionedBackbone', backbone=dict(type='LocalUNet')))
global_batch_size = 3
_pipeline = _base_.train_dataloader.dataset.pipeline
_pipeline[0].size = 256
# New pairs for every update, instead of a few in memory.
_part = dict(_base_.train_dataloader.dataset, crop=448, draws=20, cache=False, pipeline=_pipeline)
_large = dict(_part, degradations=['shadowed', 'hazy', 'blurry'], composites=0, untouched=0)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dict(_part, pair_seed=100), dict(_large, pair_seed=200, draws=40)],
    ),
)
train_cfg = dict(max_iters=8000, val_interval=1000)
load_from = 'work_dirs/blind_local-unet_cooldown-192px_b4-3k'
