"""As in the preprint: the variance-preserving diffusion, from its own stage 1."""

_base_ = '../released_nafnet-w48_finetune_rainy_b16-500k.py'
model = dict(
    schedule=dict(type='VariancePreserving'),
    head=dict(_delete_=True, type='NoiseHead', residual_scale='sigma_floor'),
    image_range=(-1.0, 1.0),
    step=dict(mixing=dict(objective=dict(_delete_=True, type='NoisePrediction'))),
)
val_evaluator = [
    dict(type='RestorationMetric', protocol='rgb_no_lpips'),
    dict(type='MeanMetric', names=['val_noise_loss']),
]
load_from = 'work_dirs/released_nafnet-w48_pretrain_rainy_with-vp_b16-100k'
