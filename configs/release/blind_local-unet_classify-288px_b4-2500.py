"""Still more context: of a patch of 160 px, a raindrop or the edge of a shadow is often outside."""

_base_ = [
    '../_base_/stages/blind/classify.py',
    '../_base_/datasets/photos_blind.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(backbone=dict(type='ConditionedBackbone', backbone=dict(type='LocalUNet')))
global_batch_size = 4
_pipeline = [
    dict(type='RandomPatch', size=288),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
train_dataloader = dict(dataset=dict(
    for_classifier=True, untouched=0, crop=384, min_scale=0.4, pair_seed=2, draws=2, cache=False,
    pipeline=_pipeline,
))  # fmt: skip
optim_wrapper = dict(optimizer=dict(lr=3e-4))
train_cfg = dict(max_iters=2500, val_interval=2500)
load_from = 'work_dirs/blind_local-unet_classify-160px_b8-8k'
