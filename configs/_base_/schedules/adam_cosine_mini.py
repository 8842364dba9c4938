"""Adam and cosine annealing for small networks and short runs.

Ten times the paper's learning rate, warm-up and clipping: chosen for a few thousand updates.
"""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=5e-4, betas=(0.9, 0.99)),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=100),
]
train_cfg = dict(type='IterationTrainLoop', max_iters=1000, val_interval=500)
auto_scale_lr = dict(enable=False, base_batch_size=16)
