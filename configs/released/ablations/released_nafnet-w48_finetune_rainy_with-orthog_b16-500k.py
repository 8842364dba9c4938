"""As in the preprint: the cosine has a gradient, capped as in recipe `paper`."""

_base_ = '../released_nafnet-w48_finetune_rainy_b16-500k.py'
model = dict(
    step=dict(
        regularizers=dict(
            orthogonality=dict(type='GradientOrthogonality', groups=1, interval=1, grad_cap=0.1)
        )
    )
)
