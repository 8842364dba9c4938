"""As the preprint has it: the variance-preserving diffusion, from its own stage 1."""

_base_ = '../released_nafnet-w48_finetune_rainy_8xb2-500k.py'
model = dict(
    schedule=dict(type='VariancePreserving'),
    head=dict(_delete_=True, type='NoiseHead', residual_scale='sigma_floor'),
    image_range=(-1.0, 1.0),
    step=dict(mixing=dict(objective=dict(_delete_=True, type='NoisePrediction'))),
)
_metrics_ = [_base_.val_evaluator[0], dict(type='MeanMetric', names=['val_noise_loss'])]
val_evaluator = _metrics_
load_from = 'work_dirs/released_nafnet-w48_pretrain_rainy_with-vp_8xb2-100k'
