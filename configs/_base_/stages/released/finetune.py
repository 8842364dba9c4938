"""Recipe `released`, stage 2, as the authors' code runs it.

L1 + 0.1 x FFT on the residual. In a tenth of the updates the generative loss on the batch's clean
images is computed, for a cosine that is logged, and L_reg acts, element by element. Neither the
generative loss, nor the orthogonality, nor a layer-wise decay moves a weight.
"""

_base_ = '../../runtime.py'
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
    importance=dict(type='ImportanceAccumulationHook', n_batches=50, when='start'),
    plateau=dict(type='PlateauHook'),
)
val_evaluator = [
    dict(type='RestorationMetric', protocol='rgb_no_lpips'),
    dict(type='MeanMetric', names=['val_denoising_loss']),  # what is left of pre-training
]
test_evaluator = dict(type='RestorationMetric', protocol='rgb')
test_cfg = dict(type='TestLoop')
