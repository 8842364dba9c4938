"""Stage 2, GEF: reconstruct at t_mat and keep the generative skill, with the paper's values."""

_base_ = '../runtime.py'
model = dict(
    type='FinetuneRestorer',
    mix_ratio=0.1,  # Fig. 4
    importance_loss=dict(type='ImportanceLoss', form='pigwm', weight=0.2),  # lambda, Fig. 8
    orthogonality_loss=dict(
        type='OrthogonalityLoss', mode='align', implementation='group', interval=8, grad_cap=0.1
    ),
)
default_hooks = dict(
    importance=dict(type='ImportanceAccumulationHook', n_batches=0),
    layer_wise_decay=dict(type='LayerWiseDecayHook', rate=0.05, gate='cut'),  # a, Fig. 8
)
val_evaluator = [
    dict(type='RestorationMetric', protocol='rgb_no_lpips'),
    dict(type='MeanMetric', names=['held_out_noise']),  # what is left of pre-training
]
test_evaluator = dict(type='RestorationMetric', protocol='rgb')
test_cfg = dict(type='TestLoop')
