"""A classifier that predicts the degradation, for the finished network of ``joint.py``."""

_base_ = './joint.py'
model = dict(
    inference='predict',
    classifier=dict(
        type='DegradationClassifier',
        tasks=[
            'noisy', 'rainy', 'jpeg', 'snowy', 'inpainting',
            'raindrop', 'shadowed', 'low_light', 'hazy', 'blurry',
        ],
        width=16,
        confidence=0.9,
    ),
    # A clean photograph must not be changed, so one image in three is clean.
    step=dict(
        _delete_=True, objective=dict(type='DegradationClassification', clean_weight=0.5)
    ),
)  # fmt: skip
