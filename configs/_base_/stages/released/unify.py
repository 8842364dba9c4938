"""Recipe `released`, stage 3: tasks join in the order of Table 4, with the authors' adapters.

Optimiser and cosine restart with each task. In the authors' code the importance is zero in this
stage, so there is no L_reg.
"""

_base_ = './finetune.py'
model = dict(
    backbone=dict(adapters=dict(type='DecoderAdapters')),
    timesteps='paper',  # Table 4
    step=dict(regularizers=dict(importance=None)),
)
default_hooks = dict(
    importance=None,
    incremental_tasks=dict(type='IncrementalTaskSchedulerHook', order='asc', data='cumulative'),
)
