"""Stage 3, MTUL, with the losses of this recipe's stage 2; otherwise as in `paper`."""

_base_ = './finetune.py'
model = dict(
    backbone=dict(adapters=dict(num_experts=10, param_budget=1_800_000)),  # N_E, Fig. 8
    timesteps='paper',  # Table 4
)
default_hooks = dict(
    incremental_tasks=dict(type='IncrementalTaskSchedulerHook', order='asc', data='cumulative'),
    importance=dict(n_batches=200),
)
