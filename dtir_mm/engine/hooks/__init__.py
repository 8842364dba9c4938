"""Hooks of the training loop."""

from dtir_mm.engine.hooks.checkpoint_hook import RestorationCheckpointHook
from dtir_mm.engine.hooks.gradient_balance_hook import GradientBalanceHook
from dtir_mm.engine.hooks.importance_accumulation_hook import ImportanceAccumulationHook
from dtir_mm.engine.hooks.incremental_task_scheduler_hook import IncrementalTaskSchedulerHook
from dtir_mm.engine.hooks.layer_wise_decay_hook import LayerWiseDecayHook
from dtir_mm.engine.hooks.plateau_hook import PlateauHook
from dtir_mm.engine.hooks.weight_ema_hook import WeightEMAHook

__all__ = [
    'GradientBalanceHook',
    'ImportanceAccumulationHook',
    'IncrementalTaskSchedulerHook',
    'LayerWiseDecayHook',
    'PlateauHook',
    'RestorationCheckpointHook',
    'WeightEMAHook',
]
