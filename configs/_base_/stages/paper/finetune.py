"""Recipe `paper`, stage 2, GEF: the preprint, with its values.

Reconstruct at t_mat while preserving generation. One deviation: the gradient of L_orthog is capped,
since it was measured at 2 to 4450 times that of the content loss (`grad_cap=None`: no cap).
"""

model = dict(
    type='Restorer',
    schedule=dict(type='VariancePreserving'),
    head=dict(type='NoiseHead', residual_scale='sigma_floor'),
    step=dict(
        objective=dict(type='Reconstruction', losses=dict(pixel=dict(type='L1Loss'))),
        mixing=dict(
            type='SampleMixing',
            ratio=0.1,  # Fig. 4
            objective=dict(type='NoisePrediction'),
        ),
        regularizers=dict(
            importance=dict(type='ImportancePenalty', form='pigwm', weight=0.2),  # lambda, Fig. 8
            orthogonality=dict(
                type='GradientOrthogonality',
                mode='align',
                implementation='group',
                interval=8,
                grad_cap=0.1,
            ),
        ),
    ),
)
default_hooks = dict(
    checkpoint=dict(type='RestorationCheckpointHook', interval=1000),
    logger=dict(type='LoggerHook', interval=100),
    sampler_seed=None,  # IterationSampler needs no reseeding
    importance=dict(type='ImportanceAccumulationHook', n_batches=0),
    layer_wise_decay=dict(type='LayerWiseDecayHook', rate=0.05, gate='scalar'),  # a, Fig. 8; Eq. 10
    plateau=dict(type='PlateauHook'),
    balance=dict(type='GradientBalanceHook'),
)
val_evaluator = [
    dict(type='RestorationMetric', protocol='rgb_no_lpips'),
    dict(type='MeanMetric', names=['val_noise_loss']),  # how much of pre-training is preserved
]
test_evaluator = dict(type='RestorationMetric', protocol='rgb')
test_cfg = dict(type='TestLoop')
