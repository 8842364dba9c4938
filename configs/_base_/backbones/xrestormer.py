"""X-Restormer (26.0 M parameters); time enters once a stage."""

backbone = dict(type='ConditionedBackbone', backbone=dict(type='XRestormer'))
