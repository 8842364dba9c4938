"""Ten stages of 100 K updates, each with an optimiser and a cosine of its own (PIGWM)."""

_base_ = './adam_cosine.py'
# New weights, some of them zero, learn faster than trained ones (method.md 4.2).
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone.adapters': dict(lr_mult=10)}))
param_scheduler = dict(
    _delete_=True,
    type='CosineRestartLR',
    periods=[100_000] * 10,
    restart_weights=[1] * 10,
    eta_min=1e-6,
    by_epoch=False,
)
train_cfg = dict(max_iters=1_000_000, val_interval=100_000)
