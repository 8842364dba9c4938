"""Beyond the paper: a classifier that finds out the degradation, beside a finished stage 3."""

_base_ = './unify.py'
model = dict(
    type='ClassifierTrainer',
    classifier=dict(
        type='DegradationClassifier',
        tasks=[
            'noisy', 'rainy', 'jpeg', 'snowy', 'inpainting',
            'raindrop', 'shadowed', 'low_light', 'hazy', 'blurry',
        ],
    ),
    importance_loss=None,
    orthogonality_loss=None,
)  # fmt: skip
default_hooks = dict(importance=None, layer_wise_decay=None, incremental_tasks=None)
