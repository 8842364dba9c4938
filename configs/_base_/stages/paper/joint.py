"""Without TIT: all ten tasks from the first update on, as many updates in all, one stage."""

_base_ = './unify.py'
default_hooks = dict(incremental_tasks=dict(data='joint'), importance=dict(n_batches=0))
