"""The arm that the released model is compared with: denoising first, then the joint training.

The pre-training of recipe `released`, in the diffusion and the image range of the joint training.
"""

_base_ = [
    '../_base_/stages/released/pretrain.py',
    '../_base_/datasets/photos_pretrain.py',
    '../_base_/schedules/adam_constant.py',
    '../_base_/runtime.py',
]
model = dict(
    schedule=dict(_delete_=True, type='VariancePreserving'),
    image_range=(-1.0, 1.0),
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='LocalUNet')),
)
_pipeline = _base_.train_dataloader.dataset.pipeline
_pipeline[0].size = 64
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_pipeline))
train_cfg = dict(max_iters=3000, val_interval=3000)
