"""Stage 1, TMGP: predict the noise in noisy clean images (Eq. 11, Alg. 1)."""

_base_ = '../runtime.py'
model = dict(type='GenerativePretrainer')
val_evaluator = dict(type='MeanMetric', names=['held_out_noise'])
default_hooks = dict(importance=dict(type='ImportanceAccumulationHook', n_batches=200))
