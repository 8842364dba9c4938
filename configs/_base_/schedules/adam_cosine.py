"""Adam and cosine annealing as in the paper; its batch is 16 in all, and nothing is clipped.

The paper names an "exponential decay rate of 0.9" only; the second is that of DA-CLIP, which it
says to follow.
"""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-5, betas=(0.9, 0.99)))
param_scheduler = dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False)
train_cfg = dict(type='IterationTrainLoop', max_iters=300_000, val_interval=5000)
auto_scale_lr = dict(enable=False, base_batch_size=16)
