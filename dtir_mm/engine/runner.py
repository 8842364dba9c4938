"""mmengine's runner, with checkpoints that are data and one place for precision."""

import json
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
from torch import nn

from dtir_mm.config import check_config
from dtir_mm.engine.batch_size import process_batch_size
from dtir_mm.engine.checkpoint import (
    checkpoint_to_resume,
    config_of,
    config_to_json,
    load_checkpoint,
    load_weights,
    online_weights,
    save_checkpoint,
)
from dtir_mm.engine.compiler import require_cpp_compiler
from dtir_mm.engine.distributed_restorer import DistributedRestorer
from dtir_mm.engine.hooks.checkpoint_hook import RestorationCheckpointHook
from dtir_mm.engine.log_failures import report_failures_once
from dtir_mm.engine.precision import check_precision, resolve_precision
from dtir_mm.engine.resuming import (
    other_batch,
    other_differences,
    resume_optimization,
    settled_precision,
    settled_seed,
)
from dtir_mm.engine.sharding import gather_full
from dtir_mm.engine.work_dir_lock import lock_for_all_processes, unlock_work_dir
from dtir_mm.files import require_writable
from dtir_mm.models.backbones.zoo import self_contained
from dtir_mm.models.finite import NotFiniteError
from dtir_mm.models.restorers.freezing import require_same_freeze
from dtir_mm.models.restorers.restorer import NEW_PARAMETERS
from dtir_mm.registry import MODEL_WRAPPERS, RUNNERS


@RUNNERS.register_module()
class RestorationRunner(Runner):
    """Builds and runs a config.

    What differs from mmengine's runner: checkpoints carry the config as JSON, which names no public
    file of weights any more, and are written whole or not at all; resuming continues bit by bit and
    never parses Python out of a checkpoint; ``precision`` ("fp32", "bf16", "auto", "fp64") is a key
    of the config, resolved once a run and kept in its checkpoints; several processes run under
    ``DistributedRestorer``, also without GPUs; ``load_strict`` says whether all weights of
    ``load_from`` must fit; ``compile`` (True, or arguments of ``torch.compile``) compiles the
    network alone; a second run in ``work_dir`` is kept out until training ends, or the process;
    ``allow_changes`` resumes with the config's optimiser and schedule where they differ from the
    run's (``resuming.py``).

    Raises:
        OSError: ``work_dir`` cannot be written to, or another process runs there.
    """

    def __init__(self, model: nn.Module | dict, work_dir: str, **kwargs: Any) -> None:
        require_writable(work_dir)
        super().__init__(model, work_dir, **kwargs)
        self.config_json = config_to_json(self_contained(self.cfg.to_dict()))
        self.precision = check_precision(self.cfg.get('precision', 'fp32'))
        self._new_prefixes: tuple[str, ...] = ()  # only training may start with new weights

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'RestorationRunner':
        """Builds a runner from a config of which every key has an effect (``check_config``)."""
        check_config(cfg)
        return super().from_cfg(cfg)

    @property
    def restorer(self) -> nn.Module:
        """The model without its wrapper."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    @property
    def sharded(self) -> bool:
        """Whether weights are sharded over the processes (FSDP)."""
        return is_model_wrapper(self.model) and self.model.shards

    @property
    def resumes(self) -> bool:
        """Whether this run goes on with an earlier one, if there is one."""
        return bool(self._resume)

    @property
    def stage_length(self) -> int:
        """Updates of a stage: the whole run, unless ``IncrementalTaskSchedulerHook`` splits it."""
        schedule = self.train_dataloader.sampler.schedule
        return self.max_iters if schedule is None else schedule.stage_length

    @property
    def global_batch(self) -> int:
        """Samples of one update over all processes."""
        return self.train_dataloader.sampler.batch_size * self.world_size

    def setup_env(self, env_cfg: dict) -> None:
        """Starts the processes' communication, and locks the work directory, as yet untouched.

        mmengine's launchers start communication only on accelerators.
        """
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
        """mmengine's, which a full disk does not disturb."""
        logger = super().build_logger(log_level, **options)
        report_failures_once(logger)
        return logger

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """The model on its device, in ``DistributedRestorer`` where there are several processes.

        ``model_wrapper_cfg`` may name another wrapper.
        """
        model = model.to(get_device())
        if model_wrapper_cfg is not None:
            return MODEL_WRAPPERS.build({**model_wrapper_cfg, 'module': model})
        return DistributedRestorer(model) if self.distributed else model

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """See mmengine, which lets a config set only its own default hooks to None."""
        own = ('sampler_seed', 'logger', 'checkpoint', 'timer', 'param_scheduler', 'runtime_info')
        hooks = {n: h for n, h in (hooks or {}).items() if h is not None or n in own}
        super().register_default_hooks(hooks)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """See mmengine; each process gets its share of ``global_batch_size``."""
        if isinstance(self._train_dataloader, dict):
            size = process_batch_size(self.cfg, self.world_size)
            self._train_dataloader = {**self._train_dataloader, 'batch_size': size}
        return super().build_train_loop(loop)

    def build_param_scheduler(self, scheduler: Any) -> list:
        """The learning rate's schedule; a part of it without ``end`` lasts as long as training.

        Parts that would begin after a shorter run's end are left out.
        """
        parts = [scheduler] if isinstance(scheduler, dict) else scheduler
        parts = [part for part in parts if part.get('begin', 0) < self.max_iters]
        return super().build_param_scheduler([{'end': self.max_iters, **part} for part in parts])

    def train(self) -> nn.Module:
        """Trains; see ``mmengine.runner.Runner.train``.

        Raises:
            ValueError: the config asks for mmengine's own activation checkpointing, which gradients
                as we take them do not pass.
            FloatingPointError: a loss or an image is not finite; the message names the last good
                checkpoint.
        """
        if self.cfg.get('activation_checkpointing'):
            raise ValueError(
                f'activation_checkpointing={self.cfg.activation_checkpointing} is not supported; '
                f'set model.backbone.checkpoint_activations=True instead'
            )
        self._settle_precision()
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
        """See mmengine; what is sharded has been initialised before (``ShardedRestorer``)."""
        if not self.sharded:
            super()._init_model_weights()

    def _maybe_compile(self, target: str) -> None:
        """Compiles the backbone's network for training; mmengine would compile the whole step."""
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

    def _settle_precision(self) -> None:
        """Resolves "auto", unless the checkpoint that is resumed has settled it already."""
        checkpoint = self._checkpoint_to_resume()
        if checkpoint is not None:
            self.precision = settled_precision(checkpoint, self.precision)
            self._seed = settled_seed(checkpoint, self.cfg.get('randomness', {}).get('seed'))
        settled = [resolve_precision(self.precision, get_device())]
        broadcast_object_list(settled)
        self.precision = settled[0]
        self.logger.info(f'precision: {self.precision}')
        self.restorer.set_precision(self.precision)

    def _checkpoint_to_resume(self) -> dict[str, Any] | None:
        """What ``resume`` means: a checkpoint's path, or True for the newest of this run if any."""
        if not self._resume:
            return None
        checkpoint = checkpoint_to_resume(self._resume, self.work_dir)
        if checkpoint is None:
            self.logger.warning(f'nothing to resume in {self.work_dir}: a new run begins')
        return checkpoint

    def load_or_resume(self) -> None:
        """Continues the run (``resume``), or starts from the weights of ``load_from``."""
        if self._has_loaded:
            return
        self._has_loaded = True
        checkpoint = self._checkpoint_to_resume()
        if checkpoint is not None:
            require_same_freeze(config_of(checkpoint).get('model'), self.restorer)
            self._resume_from(checkpoint)
        elif self._load_from is not None:
            self.load_checkpoint(self._load_from)

    def load_checkpoint(self, filename: str, **_: Any) -> dict[str, Any]:
        """Loads the weights of a checkpoint file, or of the newest one in a directory.

        Training may start from a checkpoint without the weights that its stage introduces, and
        where the config has ``load_strict = False``, from whatever fits by name and shape.

        Raises:
            CheckpointError: it cannot be read, or is of another architecture.
        """
        checkpoint = load_checkpoint(filename)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        strict = self.cfg.get('load_strict', True)
        load_weights(self.restorer, checkpoint, str(filename), self._new_prefixes, strict)
        self.logger.info(f'weights from {filename}')
        return checkpoint

    def _resume_from(self, checkpoint: dict[str, Any]) -> None:
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        load_weights(
            self.restorer,
            online_weights(checkpoint),
            f'iter_{checkpoint["meta"]["iter"]}.pth to resume',
        )
        before = checkpoint['meta'].get('global_batch', self.global_batch)
        if before != self.global_batch:
            self.logger.warning(other_batch(before, self.global_batch))
        recorded, config = config_of(checkpoint), json.loads(self.config_json)
        changed = resume_optimization(
            checkpoint,
            recorded,
            config,
            self.optim_wrapper,
            self.param_schedulers or [],
            bool(self.cfg.get('allow_changes')),
        )
        self.train_loop.iter = checkpoint['meta']['iter']
        self.logger.info(f'resumed at iteration {self.iter}')
        for difference in changed + other_differences(recorded, config):
            self.logger.warning(f'from here on other than in the run to resume: {difference}')

    def save_checkpoint(self, out_dir: str, filename: str, **_: Any) -> Path:
        """Writes everything that a resumed run needs, and what a user of the weights asks.

        All processes must call it: each may hold a part.
        """
        path = Path(out_dir) / filename
        if not is_main_process() and not self.sharded:
            return path
        restorer = self.restorer
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
            },
            'state_dict': {key: gather_full(v).cpu() for key, v in restorer.state_dict().items()},
            'optimizer': gather_full(self.optim_wrapper.state_dict()),
            'param_schedulers': [s.state_dict() for s in self.param_schedulers or []],
        }
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        if is_main_process():
            save_checkpoint(checkpoint, path)
        return path
