"""Adam at a constant rate after a warm-up: such a run can be ended by a cool-down at any time."""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=5e-4, betas=(0.9, 0.99)),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200)]
train_cfg = dict(type='IterationTrainLoop', max_iters=60_000, val_interval=10_000)
auto_scale_lr = dict(enable=False, base_batch_size=16)
