"""Ten stages of 100 K updates, each with its own optimiser and cosine (PIGWM)."""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=5e-5, betas=(0.9, 0.99)),
    # New weights, some of them zero, learn faster than trained ones.
    paramwise_cfg=dict(custom_keys={'backbone.adapters': dict(lr_mult=10)}),
)
param_scheduler = dict(
    type='CosineRestartLR',
    periods=[100_000] * 10,
    restart_weights=[1] * 10,
    eta_min=1e-6,
    by_epoch=False,
)
train_cfg = dict(type='IterationTrainLoop', max_iters=1_000_000, val_interval=100_000)
auto_scale_lr = dict(enable=False, base_batch_size=16)
