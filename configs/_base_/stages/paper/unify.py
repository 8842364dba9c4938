"""Recipe `paper`, stage 3, MTUL: ten tasks join in the order of their time steps, with adapters.

The losses are stage 2's. Our choices where the paper is silent (docs/method.md): adapters of
1.8 M parameters after the encoder and middle stages, cumulative data, importance merged at every
hand-over.
"""

model = dict(
    type='Restorer',
    backbone=dict(adapters=dict(num_experts=10, param_budget=1_800_000)),  # N_E, Fig. 8
    timesteps='paper',  # Table 4
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
    incremental_tasks=dict(type='IncrementalTaskSchedulerHook', order='asc', data='cumulative'),
    importance=dict(type='ImportanceAccumulationHook', n_batches=200),
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
