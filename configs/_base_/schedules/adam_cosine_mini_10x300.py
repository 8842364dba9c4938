"""Ten stages of 300 updates, each with a cosine of its own."""

_base_ = './adam_cosine_mini.py'
# New weights, some of them zero, learn faster than trained ones (method.md 4.2).
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone.adapters': dict(lr_mult=10)}))
param_scheduler = dict(
    _delete_=True,
    type='CosineRestartLR',
    periods=[300] * 10,
    restart_weights=[1] * 10,
    eta_min=1e-5,
    by_epoch=False,
)
train_cfg = dict(max_iters=3000, val_interval=300)
