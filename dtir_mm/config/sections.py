"""What each part of a config is built into: the table behind the checks and the schema."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.runner import LogProcessor, Runner, TestLoop, ValLoop
from mmengine.utils import import_modules_from_strings
from torch.utils.data import DataLoader

from dtir_mm import registry
from dtir_mm.config.arguments import arguments_of
from dtir_mm.diffusion.noise_schedule import SCHEDULES
from dtir_mm.models.restorers.training_step import TrainingStep


@dataclass(frozen=True)
class Built:
    """What a dict in a config is built into.

    Attributes:
        by_type: registries in which its "type" is looked up.
        default: what takes its keys if it has no "type"; None if it must have one.
        given: arguments that the caller adds.
        besides: further keys, which the caller removes.
        named: whether it is a dict of such dicts, with names chosen by the user.
    """

    by_type: tuple[Any, ...] = ()
    default: str | Callable | None = None
    given: tuple[str, ...] = ()
    besides: tuple[str, ...] = ()
    named: bool = False


def _env_cfg(
    cudnn_benchmark: bool = False,
    mp_cfg: dict | None = None,
    dist_cfg: dict | None = None,
    resource_limit: int = 4096,
) -> None:
    """Arguments read by ``Runner.setup_env``.

    Args:
        cudnn_benchmark: let cuDNN choose the fastest of its algorithms by trying them.
        mp_cfg: how worker processes start.
        dist_cfg: arguments of ``torch.distributed.init_process_group``.
        resource_limit: maximum number of open files of a process.
    """


def _mp_cfg(mp_start_method: str = 'fork', opencv_num_threads: int = 0) -> None:
    """Arguments read by ``set_multi_processing``.

    Args:
        mp_start_method: "fork", "spawn" or "forkserver".
        opencv_num_threads: threads of OpenCV in every process.
    """


def _set_randomness(
    seed: int | None = None, diff_rank_seed: bool = False, deterministic: bool = False
) -> None:
    """Arguments read by ``Runner.set_randomness``.

    Args:
        seed: seed of all random numbers; None: a random one.
        diff_rank_seed: a different seed in each process.
        deterministic: restrict torch to deterministic algorithms.
    """


def _auto_scale_lr(enable: bool = False, base_batch_size: int | None = None) -> None:
    """Arguments read by ``Runner.scale_lr``.

    Args:
        enable: scale the learning rate (``train.py --auto-scale-lr``).
        base_batch_size: global batch size that the learning rate is meant for.
    """


def _paramwise_cfg(
    custom_keys: dict | None = None,
    bias_lr_mult: float = 1.0,
    bias_decay_mult: float = 1.0,
    norm_decay_mult: float = 1.0,
    dwconv_decay_mult: float = 1.0,
    dcn_offset_lr_mult: float = 1.0,
    flat_decay_mult: float = 1.0,
    bypass_duplicate: bool = False,
) -> None:
    """Arguments read by ``DefaultOptimWrapperConstructor``.

    Args:
        custom_keys: parts of parameter names, each with its lr_mult and decay_mult.
        bias_lr_mult: factor of the learning rate of biases.
        bias_decay_mult: factor of the weight decay of biases.
        norm_decay_mult: factor of the weight decay of normalisation layers.
        dwconv_decay_mult: factor of the weight decay of depth-wise convolutions.
        dcn_offset_lr_mult: factor of the learning rate of the offsets of deformable convolutions.
        flat_decay_mult: factor of the weight decay of one-dimensional parameters.
        bypass_duplicate: skip parameters that occur twice.
    """


def _custom_key(lr_mult: float = 1.0, decay_mult: float = 1.0) -> None:
    """An entry of ``paramwise_cfg.custom_keys``.

    Args:
        lr_mult: factor of the learning rate.
        decay_mult: factor of the weight decay.
    """


def _clip_grad(
    max_norm: float | None = None,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
    clip_value: float | None = None,
    type: str = 'norm',
) -> None:
    """Arguments of torch's functions by which ``OptimWrapper`` clips gradients.

    Args:
        max_norm: maximum norm of the gradient of all parameters together.
        norm_type: order of that norm.
        error_if_nonfinite: raise an error if the norm is not finite.
        foreach: see ``torch.nn.utils.clip_grad_norm_``.
        clip_value: maximum magnitude of each value of the gradient (type "value").
        type: "norm" or "value".
    """


_LOADER = Built(default=DataLoader, besides=('num_batch_per_epoch',))
_OF_LOOPS = ('runner', 'dataloader', 'evaluator')
_METRICS = Built((registry.METRICS, registry.EVALUATOR))
_MODEL = Built((registry.MODELS,))

# Sections: top-level keys of a config, and their purpose.
SECTIONS: Mapping[str, tuple[Built, str]] = {
    'model': (_MODEL, 'the restorer'),
    'data_preprocessor': (_MODEL, 'for a model that has none'),
    'train_dataloader': (_LOADER, 'training data'),
    'val_dataloader': (_LOADER, 'validation data, during training'),
    'test_dataloader': (_LOADER, 'test data of dtir-mm test'),
    'train_cfg': (
        Built((registry.LOOPS,), None, ('runner', 'dataloader'), ('by_epoch',)),
        'number of updates, and how often to validate',
    ),
    'val_cfg': (Built((registry.LOOPS,), ValLoop, _OF_LOOPS), 'the validation loop'),
    'test_cfg': (Built((registry.LOOPS,), TestLoop, _OF_LOOPS), 'the test loop'),
    'val_evaluator': (_METRICS, 'validation metrics'),
    'test_evaluator': (_METRICS, 'test metrics'),
    'optim_wrapper': (
        Built((registry.OPTIM_WRAPPERS,), 'OptimWrapper', (), ('constructor', 'paramwise_cfg')),
        'the optimiser, gradient clipping and learning rates per parameter',
    ),
    'param_scheduler': (
        Built(
            (registry.PARAM_SCHEDULERS,),
            given=('optimizer', 'param_name'),
            besides=('convert_to_iter_based', 'epoch_length'),
        ),
        'schedule of the learning rate, or a list of its parts',
    ),
    'auto_scale_lr': (
        Built(default=_auto_scale_lr),
        'the batch size that the learning rate is meant for',
    ),
    'default_hooks': (
        Built((registry.HOOKS,), besides=('priority',), named=True),
        'named hooks; None removes one',
    ),
    'custom_hooks': (Built((registry.HOOKS,), besides=('priority',)), 'further hooks'),
    'model_wrapper_cfg': (
        Built((registry.MODEL_WRAPPERS,), given=('module',)),
        'how processes share the model (ShardedRestorer)',
    ),
    'log_processor': (
        Built((registry.LOG_PROCESSORS,), LogProcessor),
        'which logged values are averaged',
    ),
    'visualizer': (Built((registry.VISUALIZERS,)), 'where curves are written'),
    'env_cfg': (Built(default=_env_cfg), 'processes and communication'),
    'randomness': (Built(default=_set_randomness), 'seed'),
    'custom_imports': (
        Built(default=import_modules_from_strings),
        'imports=[...]: your modules, which register classes; allow_failed_imports',
    ),
    'compile': (
        Built(default=torch.compile, given=('model',)),
        'True or arguments of torch.compile: compiles the network',
    ),
}
# Arguments of our classes, the data loader and mmengine's optimiser wrapper that are configs.
ARGUMENTS: Mapping[str, Built] = {
    'backbone': _MODEL,
    'head': Built((registry.MODELS,), 'NoiseHead'),
    'schedule': Built((SCHEDULES,), 'VariancePreserving', ('image_range',)),
    'classifier': _MODEL,
    'step': Built(default=TrainingStep),
    'objective': _MODEL,
    'mixing': _MODEL,
    'losses': Built((registry.MODELS,), named=True),
    'regularizers': Built((registry.MODELS,), named=True),
    'time_embedding': Built((registry.MODELS,), 'TimeEmbedding'),
    'adapters': Built((registry.MODELS,), 'MoEAdapters', ('trace',)),
    'dataset': Built((registry.DATASETS,)),
    'datasets': Built((registry.DATASETS,)),
    'pipeline': Built((registry.TRANSFORMS,)),
    'sampler': Built(
        (registry.DATA_SAMPLERS,), 'IterationSampler', ('dataset', 'seed', 'batch_size')
    ),
    'collate_fn': Built((registry.FUNCTIONS,), given=('data_batch',)),
    'optimizer': Built((registry.OPTIMIZERS,), given=('params',)),
    'paramwise_cfg': Built(default=_paramwise_cfg),
    'custom_keys': Built(default=_custom_key, named=True),
    'clip_grad': Built(default=_clip_grad),
    'mp_cfg': Built(default=_mp_cfg),
    'vis_backends': Built((registry.VISBACKENDS,), given=('save_dir',)),
    'metrics': Built((registry.METRICS,)),
}
# Top-level keys that are values, with type and purpose.
VALUES: Mapping[str, tuple[Any, str]] = {
    'runner_type': (str, 'the runner, RestorationRunner'),
    'global_batch_size': (
        int | None,
        'samples of an update over all processes, a multiple of their number',
    ),
    'work_dir': (str | None, 'folder for logs and checkpoints; default work_dirs/<config>'),
    'load_from': (str | None, 'checkpoint or work directory with the initial weights'),
    'load_strict': (bool, 'whether all weights of load_from must match; default True'),
    'resume': (bool | str, 'continue the run in work_dir, or from this checkpoint'),
    'allow_changes': (bool, "resume with the config's optimiser and schedule; default False"),
    'launcher': (str, 'launcher of the processes: none, pytorch, slurm or mpi'),
    'log_level': (str, 'of the log: DEBUG, INFO, WARNING or ERROR'),
    'default_scope': (str, 'scope in which names are looked up, dtir_mm'),
    'experiment_name': (str | None, "name in logs; default: the config's"),
    'activation_checkpointing': (Any, 'not supported: use model.backbone.checkpoint_activations'),
    'efficient_conv_bn_eval': (Any, "mmengine's: modules to fuse convolution and batch norm in"),
    'precision': (str, '"fp32", "bf16", "fp64", or "auto": the faster of the first two'),
}


def looked_up(built: Built, name: str) -> Callable | None:
    """The class or function of a "type"."""
    found = (place.get(name) for place in built.by_type)
    return next((each for each in found if each is not None), None)


def known_keys() -> tuple[str, ...]:
    """The top-level keys of a config that are read: mmengine's and ours."""
    mmengines = (key for key in arguments_of(Runner).known if key != 'cfg')
    return tuple(dict.fromkeys((*mmengines, *SECTIONS, *VALUES)))
