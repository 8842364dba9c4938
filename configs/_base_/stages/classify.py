"""Beyond the paper: a classifier that predicts the degradation, beside a finished stage 3."""

_base_ = './paper/unify.py'
model = dict(
    classifier=dict(
        type='DegradationClassifier',
        tasks=[
            'noisy', 'rainy', 'jpeg', 'snowy', 'inpainting',
            'raindrop', 'shadowed', 'low_light', 'hazy', 'blurry',
        ],
    ),
    step=dict(_delete_=True, objective=dict(type='DegradationClassification')),
)  # fmt: skip
default_hooks = dict(
    importance=None, layer_wise_decay=None, incremental_tasks=None, plateau=None, balance=None
)
val_evaluator = [dict(type='RestorationMetric', protocol='rgb_no_lpips')]
