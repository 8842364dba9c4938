"""As in the preprint: pre-training predicts noise up to pure noise."""

_base_ = '../released_nafnet-w48_pretrain_rainy_b16-100k.py'
model = dict(
    schedule=dict(type='VariancePreserving'),
    head=dict(_delete_=True, type='NoiseHead', residual_scale='sigma_floor'),
    image_range=(-1.0, 1.0),
    step=dict(objective=dict(_delete_=True, type='NoisePrediction')),
)
val_evaluator = dict(names=['val_noise_loss'])
