"""Resumes a run, with its own optimiser and schedule unless ``allow_changes`` is set.

Without it, a config with another optimiser or schedule is an error. Differences in all other keys
take effect, and are logged.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.optim import OptimWrapper, _ParamScheduler

from dtir_mm.engine.checkpoint import Checkpoint, checkpoints_in, load_checkpoint
from dtir_mm.engine.config_differences import Difference, differences, plain
from dtir_mm.engine.scalar_visualizer import mark_resumed
from dtir_mm.engine.sharding import sharded_state
from dtir_mm.models.restorers.freezing import require_same_freeze

Config = Mapping[str, Any]

# State of mmengine's schedulers that changes while they run, or follows from the optimiser.
_SCHEDULE_PROGRESS = ('last_step', '_global_step', '_last_value', 'base_values')
# How torch computes an update, without effect on its result.
_IMPLEMENTATION = ('params', 'foreach', 'fused', 'capturable', 'differentiable')
_LENGTH = 'train_cfg.max_iters'  # the end of a schedule may follow from it
_GROUPS = 'weights a group of the optimiser'
# If one of these differs, the moments of the run are of no use.
_MOMENTS_DEPEND_ON = (_GROUPS, 'optim_wrapper.optimizer.type', 'optim_wrapper.optimizer.amsgrad')
# Keys without influence on the run, or with checks of their own.
_NO_PART_OF_THE_RUN = (
    'work_dir', 'resume', 'allow_changes', 'load_from', 'launcher', 'env_cfg', 'experiment_name',
    'visualizer', 'log_processor', 'log_level', 'precision', 'randomness', 'optim_wrapper',
    'param_scheduler',
)  # fmt: skip


def checkpoint_to_resume(resume: str | bool, work_dir: str | Path) -> Checkpoint | None:
    """The checkpoint that ``resume`` names, or if True, the newest in the work directory, if any.

    Raises:
        CheckpointError: it cannot be read, or a run cannot be resumed from it.
    """
    if not isinstance(resume, str) and not (resume and checkpoints_in(work_dir)):
        return None
    checkpoint = load_checkpoint(resume if isinstance(resume, str) else work_dir)
    checkpoint.require_resumable()
    return checkpoint


def resume_run(runner: Any, checkpoint: Checkpoint) -> None:
    """Restores weights, optimiser, schedules and iteration from the checkpoint.

    Raises:
        CheckpointError: it is of another architecture.
        ValueError: the config trains other parameters, or see ``resume_optimization``.
    """
    recorded, config = checkpoint.config, json.loads(runner.config_json)
    require_same_freeze(recorded.get('model'), runner.restorer)
    runner.call_hook('after_load_checkpoint', checkpoint=checkpoint)
    checkpoint.online().load_into(runner.restorer)
    before = checkpoint.meta.global_batch or runner.global_batch
    if before != runner.global_batch:
        runner.logger.warning(other_batch(before, runner.global_batch))
    changed = resume_optimization(
        checkpoint,
        config,
        runner.optim_wrapper,
        runner.param_schedulers or [],
        bool(runner.cfg.get('allow_changes')),
    )
    runner.train_loop.iter = checkpoint.meta.iter
    mark_resumed(runner.visualizer, runner.iter)
    runner.logger.info(f'resumed at iteration {runner.iter}')
    for difference in changed + other_differences(recorded, config):
        runner.logger.warning(f'differs from the run to resume, from here on: {difference}')


def resume_optimization(
    checkpoint: Checkpoint,
    config: Config,
    optim_wrapper: OptimWrapper,
    schedulers: Sequence[_ParamScheduler],
    allow_changes: bool,
) -> list[Difference]:
    """Restores optimiser and schedules, built from the config, from a resumable checkpoint.

    With ``allow_changes``, the config's settings are used where they differ: the moments are kept
    unless the optimiser is another one, the learning rate is the config's at this iteration.

    Returns:
        what changed; empty unless ``allow_changes``.

    Raises:
        ValueError: optimiser or schedule differ, and ``allow_changes`` is False.
    """
    recorded = checkpoint.config
    state, schedules = checkpoint.content['optimizer'], checkpoint.content['param_schedulers']
    changed = [
        *_optimizer_differences(_groups_of(state), optim_wrapper, recorded, config),
        *_schedule_differences(schedules, schedulers),
    ]
    if changed and not allow_changes:
        longer = [d for d in other_differences(recorded, config) if d.key == _LENGTH]
        raise ValueError(
            f'the config has another optimiser or schedule than the run to resume: '
            f"{', '.join(map(str, longer + changed))}. Restore the run's values, or use the "
            f"config's from here on: --allow-changes (allow_changes=True)"
        )
    settings = [dict(group) for group in optim_wrapper.param_groups]
    if not any(difference.key in _MOMENTS_DEPEND_ON for difference in changed):
        optim_wrapper.load_state_dict(sharded_state(state, optim_wrapper.param_groups))
    if not changed:
        for scheduler, schedule in zip(schedulers, schedules, strict=True):
            scheduler.load_state_dict(schedule)
        return []
    for group, own in zip(optim_wrapper.param_groups, settings, strict=True):
        group.clear()
        group.update(own)
    _advance(schedulers, checkpoint.meta.iter)
    return changed


def settled_precision(checkpoint: Checkpoint, precision: str) -> str:
    """The precision of the run to resume; raises ValueError unless the config's fits."""
    before = checkpoint.meta.precision
    if precision not in ('auto', before):
        raise ValueError(
            f'the run to resume has precision {before}, the config has precision={precision!r}: '
            f'it would be another run. Set precision={before!r}'
        )
    return before


def settled_seed(checkpoint: Checkpoint, seed: int | None) -> int | None:
    """The seed of the run to resume; raises ValueError unless the config's fits."""
    before = checkpoint.meta.seed
    if seed not in (None, before):
        raise ValueError(
            f'the run to resume has seed {before}, the config has randomness.seed={seed}: it would '
            f'continue with other samples. Set randomness=dict(seed={before})'
        )
    return before


def other_batch(before: int, now: int) -> str:
    """A warning that the run to resume had another global batch size."""
    return (
        f'the run to resume had {before} samples an update over all processes, this one has {now}: '
        f'it is another run from here on. Set global_batch_size={before} to continue with as many '
        f'and no train_dataloader.batch_size (model.step.micro_batch_size saves memory)'
    )


def other_differences(recorded: Config, config: Config) -> list[Difference]:
    """Differences other than optimiser and schedule; these take effect."""
    return list(
        differences(
            {key: value for key, value in recorded.items() if key not in _NO_PART_OF_THE_RUN},
            {key: value for key, value in config.items() if key not in _NO_PART_OF_THE_RUN},
        )
    )


def _optimizer_differences(
    recorded_groups: list[dict[str, Any]],
    optim_wrapper: OptimWrapper,
    recorded: Config,
    config: Config,
) -> Iterator[Difference]:
    """Compares settings in the optimiser's groups there, all others in the configs."""
    groups = optim_wrapper.param_groups
    for difference in differences(_beside(groups[0], recorded), _beside(groups[0], config)):
        yield difference._replace(key=f'optim_wrapper.{difference.key}')
    sizes, recorded_sizes = (
        [len(group['params']) for group in each] for each in (groups, recorded_groups)
    )
    if recorded_sizes != sizes:
        yield Difference(_GROUPS, recorded_sizes, sizes)
        return
    found: dict[str, Difference] = {}  # of many groups, the first that differs
    for before, now in zip(map(_settings, recorded_groups), map(_settings, groups), strict=True):
        for name in before.keys() & now.keys():  # versions of torch have different ones
            if plain(before[name]) != plain(now[name]):
                key = f'optim_wrapper.optimizer.{name}'
                found.setdefault(key, Difference(key, before[name], now[name]))
    yield from sorted(found.values())


def _groups_of(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As ``OptimWrapper.param_groups``: mmengine appends the base settings of many groups."""
    base = state.get('base_param_settings')
    return state['param_groups'] + ([] if base is None else [base])


def _beside(group: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The config's ``optim_wrapper`` without what is in the optimiser's groups."""
    wrapper = {'type': 'OptimWrapper', **(config.get('optim_wrapper') or {})}
    wrapper.pop('paramwise_cfg', None)
    optimizer = wrapper.get('optimizer') or {}
    wrapper['optimizer'] = {key: value for key, value in optimizer.items() if key not in group}
    return wrapper


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """A group's settings before any schedule acts: lr is the initial value."""
    return {
        name: group.get(f'initial_{name}', value)
        for name, value in group.items()
        if name not in _IMPLEMENTATION and not name.startswith('initial_')
    }


def _schedule_differences(
    states: Sequence[dict[str, Any]], schedulers: Sequence[_ParamScheduler]
) -> Iterator[Difference]:
    if len(states) != len(schedulers):
        yield Difference('parts of param_scheduler', len(states), len(schedulers))
        return
    for i, (state, scheduler) in enumerate(zip(states, schedulers, strict=True)):
        before, now = (
            {name: value for name, value in each.items() if name not in _SCHEDULE_PROGRESS}
            for each in (state, scheduler.state_dict())
        )
        yield from differences(before, now, f'param_scheduler.{i}')


def _advance(schedulers: Sequence[_ParamScheduler], iteration: int) -> None:
    """Steps schedules from iteration 0, because mmengine's cannot skip steps."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # no update belongs to these steps
        for _ in range(iteration):
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
