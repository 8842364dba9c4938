"""Recipe `released`, stage 1: a mild Gaussian denoiser with a time label, as the authors train it.

Images in [0, 1], noise up to 10 of 255 levels, the residual as output, L1 of the denoised image.
"""

_base_ = '../../runtime.py'
model = dict(
    type='Restorer',
    schedule=dict(type='VarianceExploding'),
    head=dict(type='ResidualHead'),
    image_range=(0.0, 1.0),
    step=dict(objective=dict(type='Denoising')),
)
val_evaluator = dict(type='MeanMetric', names=['val_denoising_loss'])
