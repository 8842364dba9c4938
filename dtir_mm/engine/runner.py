"""mmengine's runner with our checkpoints, precision and distribution."""

import time
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, is_distributed, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from dtir_mm.config import check_config
from dtir_mm.engine.batch_size import process_batch_size
from dtir_mm.engine.checkpoint import (
    Checkpoint,
    checkpoints_in,
    config_to_json,
    load_checkpoint,
    save_checkpoint,
)
from dtir_mm.engine.compiler import require_cpp_compiler
from dtir_mm.engine.distributed_restorer import DistributedRestorer
from dtir_mm.engine.hooks.checkpoint_hook import RestorationCheckpointHook
from dtir_mm.engine.log_failures import report_failures_once
from dtir_mm.engine.precision import check_precision, resolve_precision
from dtir_mm.engine.resuming import (
    checkpoint_to_resume,
    resume_run,
    settled_precision,
    settled_seed,
)
from dtir_mm.engine.scalar_visualizer import folder_to_continue
from dtir_mm.engine.sharding import gather_full
from dtir_mm.engine.work_dir_lock import lock_for_all_processes, unlock_work_dir
from dtir_mm.files import require_writable
from dtir_mm.models.backbones.zoo import self_contained
from dtir_mm.models.finite import NotFiniteError
from dtir_mm.models.restorers.restorer import NEW_PARAMETERS, Restorer
from dtir_mm.registry import MODEL_WRAPPERS, RUNNERS


@RUNNERS.register_module()
class RestorationRunner(Runner):
    """Builds and runs a config.

    These keys differ from mmengine's, or are new:

    - ``precision``: "fp32", "bf16", "fp64" or "auto", resolved once per run.
    - ``load_strict``: if False, ``load_from`` loads the tensors that match by name and shape.
    - ``compile``: True, or arguments of ``torch.compile``, which compiles only the network.
    - ``allow_changes``: resume with the config's optimiser and schedule (``resuming.py``).

    Checkpoints are written atomically, hold no code, and carry a config that needs no other file of
    weights. Runs resume bit-exactly. ``work_dir`` is locked against a second run until training or
    the process ends.

    Raises:
        OSError: ``work_dir`` cannot be written to, or another process runs there.
        CheckpointError: the checkpoint to resume cannot be read, or not be resumed from.
    """

    _has_loaded: bool  # mmengine's, as is the next
    _train_dataloader: DataLoader | dict

    def __init__(self, model: nn.Module | dict, work_dir: str, **kwargs: Any) -> None:
        require_writable(work_dir)
        super().__init__(model, work_dir, **kwargs)
        self.config_json = config_to_json(self_contained(self.cfg.to_dict()))
        self.precision = check_precision(self.cfg.get('precision', 'fp32'))
        self._new_prefixes: tuple[str, ...] = ()  # only training may start with new weights
        self._to_resume = checkpoint_to_resume(self._resume, self.work_dir)
        if self._resume and self._to_resume is None:
            self.logger.info(f'no checkpoint to resume in {self.work_dir}: starting a new run')

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'RestorationRunner':
        """Builds a runner from a config in which every key has an effect (``check_config``)."""
        check_config(cfg)
        return super().from_cfg(cfg)

    @property
    def restorer(self) -> Restorer:
        """The model without its wrapper."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    @property
    def sharded(self) -> bool:
        """Whether weights are sharded over the processes (FSDP)."""
        return is_model_wrapper(self.model) and self.model.shards

    @property
    def resumes(self) -> bool:
        """Whether this run continues an earlier one, if there is one."""
        return bool(self._resume)

    @property
    def global_batch(self) -> int:
        """Samples of one update over all processes."""
        return self.train_dataloader.sampler.batch_size * self.world_size

    def setup_env(self, env_cfg: dict) -> None:
        """Sets up communication (mmengine does so only on GPUs), and locks the work directory."""
        if self.distributed and not is_distributed() and get_device() == 'cpu':
            if self.launcher != 'pytorch':
                raise ValueError(
                    f'launcher={self.launcher!r} needs GPUs; on CPUs it must be "pytorch" '
                    f'(tools/dist_train.sh)'
                )
            torch.distributed.init_process_group('gloo')
        super().setup_env(env_cfg)
        lock_for_all_processes(self.work_dir)

    def build_logger(self, log_level: int | str = 'INFO', **options: Any) -> MMLogger:
        """Mmengine's logger, which reports a full disk once."""
        logger = super().build_logger(log_level, **options)
        report_failures_once(logger)
        return logger

    def build_visualizer(self, visualizer: Any = None) -> Visualizer:
        """See mmengine; a resumed run adds to the curves of the run that it continues."""
        resume = self.cfg.get('resume')
        if isinstance(visualizer, dict) and (
            isinstance(resume, str) or (resume and checkpoints_in(self.work_dir))
        ):
            folder = folder_to_continue(self.work_dir) or self._log_dir
            visualizer = {'save_dir': str(folder), **visualizer}
        return super().build_visualizer(visualizer)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: Restorer) -> nn.Module:
        """The model on its device, for several processes in a wrapper (``DistributedRestorer``)."""
        model = model.to(get_device())
        if model_wrapper_cfg is not None:
            return MODEL_WRAPPERS.build({**model_wrapper_cfg, 'module': model})
        return DistributedRestorer(model) if self.distributed else model

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """See mmengine; with ``ValidationImagesHook``, and validation logged at its iteration.

        Any hook may be None, not only mmengine's own.
        """
        own = ('sampler_seed', 'logger', 'checkpoint', 'timer', 'param_scheduler', 'runtime_info')
        hooks = {
            'images': {'type': 'ValidationImagesHook'}, 'logger': {'type': 'LoggerHook'},
            **(hooks or {}),
        }  # fmt: skip
        if isinstance(hooks['logger'], dict) and hooks['logger'].get('type') == 'LoggerHook':
            hooks['logger'] = {'log_metric_by_epoch': False, **hooks['logger']}
        hooks = {n: h for n, h in hooks.items() if h is not None or n in own}
        super().register_default_hooks(hooks)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """See mmengine; each process gets its share of ``global_batch_size``."""
        if isinstance(self._train_dataloader, dict):
            size = process_batch_size(self.cfg, self.world_size)
            self._train_dataloader = {**self._train_dataloader, 'batch_size': size}
        return super().build_train_loop(loop)

    def build_param_scheduler(self, scheduler: Any) -> list:
        """See mmengine; parts end with training by default, and later ones are left out."""
        parts = [scheduler] if isinstance(scheduler, dict) else scheduler
        parts = [part for part in parts if part.get('begin', 0) < self.max_iters]
        return super().build_param_scheduler([{'end': self.max_iters, **part} for part in parts])

    def train(self) -> nn.Module:
        """Trains; see ``mmengine.runner.Runner.train``.

        Raises:
            ValueError: the config asks for mmengine's activation checkpointing, which does not work
                with ``torch.autograd.grad``.
            FloatingPointError: a loss or an image is not finite; the message names the last good
                checkpoint.
        """
        if self.cfg.get('activation_checkpointing'):
            raise ValueError(
                f'activation_checkpointing={self.cfg.activation_checkpointing} is not supported; '
                f'set model.backbone.checkpoint_activations=True instead'
            )
        self._settle_precision_and_seed()
        self._new_prefixes = NEW_PARAMETERS
        try:
            return super().train()
        except (FloatingPointError, NotFiniteError) as error:
            hooks = [hook for hook in self.hooks if isinstance(hook, RestorationCheckpointHook)]
            ways = [hook.way_back(self) for hook in hooks]
            raise FloatingPointError('. '.join([str(error), *ways])) from error
        finally:
            unlock_work_dir(self.work_dir)

    def _init_model_weights(self) -> None:
        """See mmengine; ``ShardedRestorer`` initialises weights before it shards them."""
        if not self.sharded:
            super()._init_model_weights()

    def _maybe_compile(self, target: str) -> None:
        """Compiles the network for training; mmengine would compile the whole step."""
        compile_with = self.cfg.get('compile')
        if not compile_with or target != 'train_step':
            return
        if self.sharded:
            raise ValueError(
                'compile and model_wrapper_cfg.type="ShardedRestorer" exclude each other'
            )
        options = {} if compile_with is True else dict(compile_with)
        if options.get('backend', 'inductor') == 'inductor':
            require_cpp_compiler()
        self.restorer.backbone.compile_network(**options)
        self.logger.info('compiling the network; the first updates take minutes')

    def _settle_precision_and_seed(self) -> None:
        """Resolves "auto"; a resumed run keeps its precision and seed."""
        if self._to_resume is not None:
            self.precision = settled_precision(self._to_resume, self.precision)
            seed = self.cfg.get('randomness', {}).get('seed')
            self._seed = settled_seed(self._to_resume, seed)
        settled = [resolve_precision(self.precision, get_device())]
        broadcast_object_list(settled)
        self.precision = settled[0]
        self.logger.info(f'precision: {self.precision}')
        self.restorer.set_precision(self.precision)

    def load_or_resume(self) -> None:
        """Resumes the run (``resume``), or starts from the weights of ``load_from``."""
        if self._has_loaded:
            return
        self._has_loaded = True
        if self._to_resume is not None:
            resume_run(self, self._to_resume)
            self._to_resume = None  # as large as the model and its optimiser
        elif self._load_from is not None:
            self.load_checkpoint(self._load_from)

    def load_checkpoint(self, filename: str, **_: Any) -> Checkpoint:
        """Loads the weights of a checkpoint file, or of the newest one in a directory.

        Weights that the stage adds may be missing, and with ``load_strict = False`` any others.

        Raises:
            CheckpointError: it cannot be read, or is of another architecture.
        """
        checkpoint = load_checkpoint(filename)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        strict = self.cfg.get('load_strict', True)
        checkpoint.load_into(self.restorer, self._new_prefixes, strict)
        self.logger.info(f'weights from {checkpoint.path}')
        return checkpoint

    def save_checkpoint(
        self, out_dir: str, filename: str, meta: dict[str, Any] | None = None, **_: Any
    ) -> Path:
        """Writes what resuming the run and using its weights need; all processes must call it.

        ``meta`` is added to what the checkpoint states about itself. By default its iteration is
        that of ``after_train_iter``, where ``self.iter`` does not count the update yet.
        """
        path = Path(out_dir) / filename
        if not is_main_process() and not self.sharded:
            return path
        restorer = self.restorer
        assert restorer.step is not None
        checkpoint: dict[str, Any] = {
            'meta': {
                'iter': self.iter + 1,
                'seed': self.seed,
                'precision': self.precision,
                'global_batch': self.global_batch,
                'time': time.strftime('%Y-%m-%d %H:%M:%S'),
                'config_json': self.config_json,
                'objective': restorer.step.objective.name,
                'tasks': list(self.train_dataloader.dataset.tasks),
                'timesteps': dict(restorer.timesteps.by_task),
                'fixed_timestep': restorer.timesteps.fixed,
                **(meta or {}),
            },
            'state_dict': {key: gather_full(v).cpu() for key, v in restorer.state_dict().items()},
            'optimizer': gather_full(self.optim_wrapper.state_dict()),
            'param_schedulers': [s.state_dict() for s in self.param_schedulers or []],
        }
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        if is_main_process():
            save_checkpoint(checkpoint, path)
        return path
