"""Recipe `released`, stage 1: denoising of weak Gaussian noise, conditioned on t.

Images in [0, 1], noise up to 10 of 255 levels, the residual as output, L1 of the denoised image.
"""

model = dict(
    type='Restorer',
    schedule=dict(type='VarianceExploding'),
    head=dict(type='ResidualHead'),
    image_range=(0.0, 1.0),
    step=dict(objective=dict(type='Denoising')),
)
val_evaluator = dict(type='MeanMetric', names=['val_denoising_loss'])
default_hooks = dict(
    checkpoint=dict(type='RestorationCheckpointHook', interval=1000),
    logger=dict(type='LoggerHook', interval=100),
    sampler_seed=None,  # IterationSampler needs no reseeding
)
