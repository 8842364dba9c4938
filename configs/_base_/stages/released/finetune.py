"""Recipe `released`, stage 2, as in the authors' code.

L1 + 0.1 x FFT on the residual. In 10 % of the updates, the generative loss on the batch's clean
images is computed for a logged cosine, and L_reg is applied per element. Neither the generative
loss nor orthogonality nor layer-wise decay contributes to the update.
"""

model = dict(
    type='Restorer',
    schedule=dict(type='VarianceExploding'),
    head=dict(type='ResidualHead'),
    image_range=(0.0, 1.0),
    step=dict(
        objective=dict(
            type='Reconstruction',
            losses=dict(pixel=dict(type='L1Loss'), fft=dict(type='FFTLoss', weight=0.1)),
        ),
        mixing=dict(
            type='UpdateMixing', probability=0.1, added=False, objective=dict(type='Denoising')
        ),
        regularizers=dict(
            importance=dict(type='ImportancePenalty', form='elementwise', weight=0.2, share=0.1),
        ),
    ),
)
default_hooks = dict(
    checkpoint=dict(type='RestorationCheckpointHook', interval=1000),
    logger=dict(type='LoggerHook', interval=100),
    sampler_seed=None,  # IterationSampler needs no reseeding
    importance=dict(type='ImportanceAccumulationHook', n_batches=50, when='start'),
    plateau=dict(type='PlateauHook'),
)
val_evaluator = [
    dict(type='RestorationMetric', protocol='rgb_no_lpips'),
    dict(type='MeanMetric', names=['val_denoising_loss']),  # how much of pre-training is preserved
]
test_evaluator = dict(type='RestorationMetric', protocol='rgb')
test_cfg = dict(type='TestLoop')
