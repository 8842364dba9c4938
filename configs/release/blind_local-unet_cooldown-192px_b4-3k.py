"""The end of the training on still larger patches; the learning rate falls to nothing."""

_base_ = [
    '../_base_/stages/blind/joint.py',
    '../_base_/datasets/photos_blind.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(backbone=dict(type='ConditionedBackbone', backbone=dict(type='LocalUNet')))
global_batch_size = 4
_pipeline = _base_.train_dataloader.dataset.pipeline
_pipeline[0].size = 192
train_dataloader = dict(dataset=dict(pair_seed=4, pipeline=_pipeline))
train_cfg = dict(max_iters=3000, val_interval=3000)
load_from = 'work_dirs/blind_local-unet_joint-128px_b4-60k'
