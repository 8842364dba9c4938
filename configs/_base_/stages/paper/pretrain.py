"""Recipe `paper`, stage 1, TMGP: predict the noise in noisy clean images (Eq. 11, Alg. 1)."""

model = dict(
    type='Restorer',
    schedule=dict(type='VariancePreserving'),
    head=dict(type='NoiseHead', residual_scale='sigma_floor'),
    step=dict(objective=dict(type='NoisePrediction')),
)
val_evaluator = dict(type='MeanMetric', names=['val_noise_loss'])
default_hooks = dict(
    checkpoint=dict(type='RestorationCheckpointHook', interval=1000),
    logger=dict(type='LoggerHook', interval=100),
    sampler_seed=None,  # IterationSampler needs no reseeding
    importance=dict(type='ImportanceAccumulationHook', n_batches=200),
)
