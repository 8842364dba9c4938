"""The last updates, once more and longer, from the stage before or half-way to it (README.md)."""

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
_pipeline[2].share = 0.7
_data = dict(crop=448, draws=10, pair_seed=400, cache=False, pipeline=_pipeline)
train_dataloader = dict(dataset=_data)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
train_cfg = dict(max_iters=2000, val_interval=2000)
load_from = 'work_dirs/blind_local-unet_cooldown-256px_b3-900'
