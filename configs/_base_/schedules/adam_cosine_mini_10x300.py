"""Ten stages of 300 updates, each with its own cosine."""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=5e-4, betas=(0.9, 0.99)),
    clip_grad=dict(max_norm=1.0),
    # New weights, some of them zero, learn faster than trained ones.
    paramwise_cfg=dict(custom_keys={'backbone.adapters': dict(lr_mult=10)}),
)
param_scheduler = dict(
    type='CosineRestartLR',
    periods=[300] * 10,
    restart_weights=[1] * 10,
    eta_min=1e-5,
    by_epoch=False,
)
train_cfg = dict(type='IterationTrainLoop', max_iters=3000, val_interval=300)
auto_scale_lr = dict(enable=False, base_batch_size=16)
