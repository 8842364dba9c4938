"""Without TIT: all ten tasks from the first update, in one stage of as many updates."""

_base_ = './unify.py'
default_hooks = dict(incremental_tasks=dict(data='joint'), importance=dict(n_batches=0))
