"""Beyond the paper: a classifier that predicts the degradation, beside a finished stage 3."""

model = dict(
    type='Restorer',
    backbone=dict(adapters=dict(num_experts=10, param_budget=1_800_000)),
    timesteps='paper',  # Table 4
    schedule=dict(type='VariancePreserving'),
    head=dict(type='NoiseHead', residual_scale='sigma_floor'),
    classifier=dict(
        type='DegradationClassifier',
        tasks=[
            'noisy', 'rainy', 'jpeg', 'snowy', 'inpainting',
            'raindrop', 'shadowed', 'low_light', 'hazy', 'blurry',
        ],
    ),
    step=dict(objective=dict(type='DegradationClassification')),
)  # fmt: skip
val_evaluator = [dict(type='RestorationMetric', protocol='rgb_no_lpips')]
test_evaluator = dict(type='RestorationMetric', protocol='rgb')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    checkpoint=dict(type='RestorationCheckpointHook', interval=1000),
    logger=dict(type='LoggerHook', interval=100),
    sampler_seed=None,  # IterationSampler needs no reseeding
)
