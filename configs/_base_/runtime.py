"""What every run shares: scope, hooks, logs, processes, seed, precision."""

default_scope = 'dtir_mm'
runner_type = 'RestorationRunner'
default_hooks = dict(
    checkpoint=dict(type='RestorationCheckpointHook', interval=1000),
    logger=dict(type='LoggerHook', interval=100),
    sampler_seed=None,  # IterationSampler needs no reseeding
)
log_processor = dict(
    type='LogProcessor',
    window_size=100,
    by_epoch=False,
    # others show their last value alone
    mean_pattern=r'^(?!val_)(content|noise|denoising|.*(cosine|loss|time|grad_norm))',
)
visualizer = dict(
    type='ScalarVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
)
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
randomness = dict(seed=0)
precision = 'auto'  # fp32 or bf16, whichever is faster here; kept in the checkpoint
load_from = None
resume = False
val_cfg = dict(type='ValLoop')
