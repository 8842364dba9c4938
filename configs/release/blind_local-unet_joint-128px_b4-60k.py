"""The same on larger patches, for haze and shadows, which small patches do not show."""

_base_ = [
    '../_base_/stages/blind/joint.py',
    '../_base_/datasets/photos_blind.py',
    '../_base_/schedules/adam_constant.py',
    '../_base_/runtime.py',
]
model = dict(backbone=dict(type='ConditionedBackbone', backbone=dict(type='LocalUNet')))
global_batch_size = 4
_pipeline = _base_.train_dataloader.dataset.pipeline
_pipeline[0].size = 128
train_dataloader = dict(dataset=dict(pair_seed=2, pipeline=_pipeline))
load_from = 'work_dirs/blind_local-unet_joint_b8-60k'
