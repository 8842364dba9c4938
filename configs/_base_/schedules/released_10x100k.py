"""Ten stages of 100 K updates as in the released code: optimiser and cosine restart with each."""

_base_ = './released_500k.py'
param_scheduler = dict(
    _delete_=True,
    type='CosineRestartLR',
    periods=[100_000] * 10,
    restart_weights=[1] * 10,
    eta_min=1e-7,
    by_epoch=False,
)
train_cfg = dict(max_iters=1_000_000, val_interval=100_000)
