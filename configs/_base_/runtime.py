"""What all runs share: scope, logs, processes, seed, precision."""

default_scope = 'dtir_mm'
runner_type = 'RestorationRunner'
log_processor = dict(
    type='LogProcessor',
    window_size=100,
    by_epoch=False,
    # of the others, only the last value
    mean_pattern=r'^(?!val_)(content|noise|denoising|.*(cosine|loss|time|grad_norm))',
)
visualizer = dict(
    type='ScalarVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
)
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
randomness = dict(seed=0)
precision = 'auto'  # the faster of fp32 and bf16 on this machine; kept in the checkpoint
load_from = None
resume = False
val_cfg = dict(type='ValLoop')
