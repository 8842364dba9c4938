"""Runner, loop, sampler and hooks; importing this package registers them."""

from dtir_mm.engine.distributed_restorer import DistributedRestorer
from dtir_mm.engine.hooks.checkpoint_hook import RestorationCheckpointHook
from dtir_mm.engine.hooks.gradient_balance_hook import GradientBalanceHook
from dtir_mm.engine.hooks.importance_accumulation_hook import ImportanceAccumulationHook
from dtir_mm.engine.hooks.incremental_task_scheduler_hook import IncrementalTaskSchedulerHook
from dtir_mm.engine.hooks.layer_wise_decay_hook import LayerWiseDecayHook
from dtir_mm.engine.hooks.plateau_hook import PlateauHook
from dtir_mm.engine.hooks.validation_images_hook import ValidationImagesHook
from dtir_mm.engine.hooks.weight_ema_hook import WeightEMAHook
from dtir_mm.engine.iteration_sampler import IterationSampler
from dtir_mm.engine.runner import RestorationRunner
from dtir_mm.engine.scalar_visualizer import ScalarVisualizer
from dtir_mm.engine.sharded_restorer import ShardedRestorer
from dtir_mm.engine.task_mixture_sampler import TaskMixtureSampler
from dtir_mm.engine.train_loop import IterationTrainLoop

__all__ = [
    'DistributedRestorer',
    'GradientBalanceHook',
    'ImportanceAccumulationHook',
    'IncrementalTaskSchedulerHook',
    'IterationSampler',
    'IterationTrainLoop',
    'LayerWiseDecayHook',
    'PlateauHook',
    'RestorationCheckpointHook',
    'RestorationRunner',
    'ScalarVisualizer',
    'ShardedRestorer',
    'TaskMixtureSampler',
    'ValidationImagesHook',
    'WeightEMAHook',
]
