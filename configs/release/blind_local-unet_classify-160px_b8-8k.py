"""More context, for shadows, haze and raindrops: 8000 updates on patches of 160 px."""

_base_ = [
    '../_base_/stages/blind/classify.py',
    '../_base_/datasets/photos_blind.py',
    '../_base_/schedules/adam_cosine_mini.py',
    '../_base_/runtime.py',
]
model = dict(backbone=dict(type='ConditionedBackbone', backbone=dict(type='LocalUNet')))
_pipeline = [
    dict(type='RandomPatch', size=160),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]
train_dataloader = dict(dataset=dict(
    for_classifier=True, untouched=0, crop=256, min_scale=0.3, pair_seed=1, draws=3,
    pipeline=_pipeline,
))  # fmt: skip
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=8000, val_interval=8000)
load_from = 'work_dirs/blind_local-unet_classify-80px_b16-3k'
