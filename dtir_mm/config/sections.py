"""What each part of a config is built from: the one table behind the check and the schema."""

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
    """What a dict in a config becomes.

    Attributes:
        by_type: where the class named by its "type" is looked up.
        default: what takes its keys where it has no "type"; None where it must have one.
        given: arguments that whoever builds it supplies.
        besides: keys that whoever builds it takes out.
        named: whether it is a dict of such dicts, by names that are the user's.
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
    """What ``Runner.setup_env`` reads.

    Args:
        cudnn_benchmark: let cuDNN try which of its algorithms is the fastest.
        mp_cfg: how worker processes start.
        dist_cfg: arguments of ``torch.distributed.init_process_group``.
        resource_limit: open files that a process may have.
    """


def _mp_cfg(mp_start_method: str = 'fork', opencv_num_threads: int = 0) -> None:
    """What ``set_multi_processing`` reads.

    Args:
        mp_start_method: "fork", "spawn" or "forkserver".
        opencv_num_threads: of every process.
    """


def _set_randomness(
    seed: int | None = None, diff_rank_seed: bool = False, deterministic: bool = False
) -> None:
    """What ``Runner.set_randomness`` reads.

    Args:
        seed: of all random numbers; None draws one.
        diff_rank_seed: another seed for each process.
        deterministic: let torch take deterministic algorithms alone.
    """


def _auto_scale_lr(enable: bool = False, base_batch_size: int | None = None) -> None:
    """What ``Runner.scale_lr`` reads.

    Args:
        enable: scale the learning rate (``train.py --auto-scale-lr``).
        base_batch_size: samples of an update that the learning rate is meant for.
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
    """What ``DefaultOptimWrapperConstructor`` reads.

    Args:
        custom_keys: parts of parameters' names, each with its lr_mult and decay_mult.
        bias_lr_mult: factor of the learning rate of biases.
        bias_decay_mult: factor of the weight decay of biases.
        norm_decay_mult: factor of the weight decay of normalisation layers.
        dwconv_decay_mult: factor of the weight decay of depth-wise convolutions.
        dcn_offset_lr_mult: factor of the learning rate of the offsets of deformable convolutions.
        flat_decay_mult: factor of the weight decay of one-dimensional parameters.
        bypass_duplicate: leave out parameters that are there twice.
    """


def _custom_key(lr_mult: float = 1.0, decay_mult: float = 1.0) -> None:
    """What a parameter's own entry in ``paramwise_cfg.custom_keys`` may change.

    Args:
        lr_mult: factor of its learning rate.
        decay_mult: factor of its weight decay.
    """


def _clip_grad(
    max_norm: float | None = None,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
    clip_value: float | None = None,
    type: str = 'norm',
) -> None:
    """What ``OptimWrapper`` clips gradients by: arguments of torch's functions that do so.

    Args:
        max_norm: of the gradient of all parameters together.
        norm_type: which norm that is.
        error_if_nonfinite: stop where the norm is not finite.
        foreach: see ``torch.nn.utils.clip_grad_norm_``.
        clip_value: of a single value of the gradient (type "value").
        type: "norm" or "value".
    """


_LOADER = Built(default=DataLoader, besides=('num_batch_per_epoch',))
_OF_LOOPS = ('runner', 'dataloader', 'evaluator')
_METRICS = Built((registry.METRICS, registry.EVALUATOR))
_MODEL = Built((registry.MODELS,))

# The sections: keys of a config at its top, and what each is for.
SECTIONS: Mapping[str, tuple[Built, str]] = {
    'model': (_MODEL, 'the restorer'),
    'data_preprocessor': (_MODEL, 'of a model without one of its own'),
    'train_dataloader': (_LOADER, 'what is trained on'),
    'val_dataloader': (_LOADER, 'what is validated on during training'),
    'test_dataloader': (_LOADER, 'what tools/test.py tests on'),
    'train_cfg': (
        Built((registry.LOOPS,), None, ('runner', 'dataloader'), ('by_epoch',)),
        'how long training takes, and how often it validates',
    ),
    'val_cfg': (Built((registry.LOOPS,), ValLoop, _OF_LOOPS), 'the loop of validation'),
    'test_cfg': (Built((registry.LOOPS,), TestLoop, _OF_LOOPS), 'the loop of a test'),
    'val_evaluator': (_METRICS, 'what validation measures'),
    'test_evaluator': (_METRICS, 'what a test measures'),
    'optim_wrapper': (
        Built((registry.OPTIM_WRAPPERS,), 'OptimWrapper', (), ('constructor', 'paramwise_cfg')),
        'the optimiser, and what gradients go through before it',
    ),
    'param_scheduler': (
        Built(
            (registry.PARAM_SCHEDULERS,),
            given=('optimizer', 'param_name'),
            besides=('convert_to_iter_based', 'epoch_length'),
        ),
        "the learning rate's schedule, or its parts",
    ),
    'auto_scale_lr': (Built(default=_auto_scale_lr), 'the batch that the learning rate is for'),
    'default_hooks': (
        Built((registry.HOOKS,), besides=('priority',), named=True),
        'hooks by name, each of which a config may change or set to None',
    ),
    'custom_hooks': (Built((registry.HOOKS,), besides=('priority',)), 'further hooks'),
    'model_wrapper_cfg': (
        Built((registry.MODEL_WRAPPERS,), given=('module',)),
        'how several processes share the model (ShardedRestorer)',
    ),
    'log_processor': (Built((registry.LOG_PROCESSORS,), LogProcessor), 'what logs average'),
    'visualizer': (Built((registry.VISUALIZERS,)), 'where curves go'),
    'env_cfg': (Built(default=_env_cfg), 'processes and their communication'),
    'randomness': (Built(default=_set_randomness), 'seed'),
    'custom_imports': (
        Built(default=import_modules_from_strings),
        'imports=[...], modules of your own that register classes; allow_failed_imports',
    ),
    'compile': (
        Built(default=torch.compile, given=('model',)),
        'True, or arguments of torch.compile, to compile the network',
    ),
}
# Arguments within them that are configs themselves, by the names that our classes, the data loader
# and mmengine's wrapper of an optimiser have for them.
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
# What is a value at the top, with its type and what it is for.
VALUES: Mapping[str, tuple[Any, str]] = {
    'runner_type': (str, 'the runner, RestorationRunner'),
    'work_dir': (str | None, 'folder of logs and checkpoints; default work_dirs/<config>'),
    'load_from': (str | None, 'checkpoint or work directory whose weights training starts from'),
    'load_strict': (bool, 'whether all weights of load_from must fit; default True'),
    'resume': (bool | str, 'go on with the run in work_dir, or from the checkpoint named here'),
    'allow_changes': (bool, "resume with the config's optimiser and schedule; default False"),
    'launcher': (str, 'how processes were started: none, pytorch, slurm or mpi'),
    'log_level': (str, 'of the log: DEBUG, INFO, WARNING or ERROR'),
    'default_scope': (str, 'where names without a scope are looked up, dtir_mm'),
    'experiment_name': (str | None, "name in logs; default the config's"),
    'activation_checkpointing': (Any, 'refused: model.backbone.checkpoint_activations does it'),
    'efficient_conv_bn_eval': (Any, "mmengine's: modules whose convolution and batch norm merge"),
    'precision': (str, '"fp32", "bf16", "fp64", or "auto": whichever of the first two is faster'),
}


def looked_up(built: Built, name: str) -> Callable | None:
    """The class or function of a "type"."""
    found = (place.get(name) for place in built.by_type)
    return next((each for each in found if each is not None), None)


def known_keys() -> tuple[str, ...]:
    """The keys that are read at the top of a config: mmengine's and ours."""
    mmengines = (key for key in arguments_of(Runner).known if key != 'cfg')
    return tuple(dict.fromkeys((*mmengines, *SECTIONS, *VALUES)))
