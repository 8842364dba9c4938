"""Recipe `paper`, stage 3, MTUL: ten tasks join in order of their time steps, with adapters.

What the paper leaves open is ours (docs/method.md): adapters of 1.8 M parameters behind the stages
of encoder and middle, cumulative data, importance joined at every hand-over.
"""

_base_ = './finetune.py'
model = dict(
    backbone=dict(adapters=dict(num_experts=10, param_budget=1_800_000)),  # N_E, Fig. 8
    timesteps='paper',  # Table 4
)
default_hooks = dict(
    incremental_tasks=dict(type='IncrementalTaskSchedulerHook', order='asc', data='cumulative'),
    importance=dict(n_batches=200),
)
