"""Adam and cosine annealing as in the paper, without gradient clipping.

The paper states only an "exponential decay rate of 0.9"; the second is that of DA-CLIP, which it
follows.
"""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-5, betas=(0.9, 0.99)))
param_scheduler = dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False)
train_cfg = dict(type='IterationTrainLoop', max_iters=300_000, val_interval=5000)
auto_scale_lr = dict(enable=False, base_batch_size=16)
