"""What a resumed run goes on with: its own optimiser and schedule, or the config's if one says so.

What a checkpoint records is what was used. So a config that differs in optimiser or schedule is
refused, unless it is to be taken (``allow_changes``); all other keys are taken, and named.
"""

import reprlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.optim import OptimWrapper, _ParamScheduler

from dtir_mm.engine.sharding import sharded_state

Config = Mapping[str, Any]

_NOT_SET = 'not set'
_SHORT = reprlib.Repr()
_SHORT.maxstring = 120  # paths
# What of mmengine's schedulers changes while they run, or follows from the optimiser's settings.
_SCHEDULE_PROGRESS = ('last_step', '_global_step', '_last_value', 'base_values')
# How torch computes an update, not which one.
_IMPLEMENTATION = ('params', 'foreach', 'fused', 'capturable', 'differentiable')
_LENGTH = 'train_cfg.max_iters'  # which the end of a schedule may follow
_GROUPS = 'weights a group of the optimiser'
# With another one of these, the moments of the run are of no use.
_MOMENTS_DEPEND_ON = (_GROUPS, 'optim_wrapper.optimizer.type', 'optim_wrapper.optimizer.amsgrad')
# Keys of a config that leave its run as it is, or that have checks of their own.
_NO_PART_OF_THE_RUN = (
    'work_dir', 'resume', 'allow_changes', 'load_from', 'launcher', 'env_cfg', 'experiment_name',
    'visualizer', 'log_processor', 'log_level', 'precision', 'randomness', 'optim_wrapper',
    'param_scheduler',
)  # fmt: skip


class Difference(NamedTuple):
    """A key with two values: that of the run to resume, and the config's."""

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        before, now = (v if v is _NOT_SET else _SHORT.repr(v) for v in (self.before, self.now))
        return f'{self.key} {before} -> {now}'


def resume_optimization(
    checkpoint: Mapping[str, Any],
    recorded: Config,
    config: Config,
    optim_wrapper: OptimWrapper,
    schedulers: Sequence[_ParamScheduler],
    allow_changes: bool,
) -> list[Difference]:
    """Brings optimiser and schedules to where the checkpoint's run was.

    Args:
        checkpoint: with "optimizer", "param_schedulers" and the number of updates.
        recorded: the config of the checkpoint's run.
        config: that of this run.
        optim_wrapper: as the config has it, at iteration 0.
        schedulers: likewise.
        allow_changes: take the config's settings where they differ. The moments stay, unless the
            optimiser is another one; the learning rate is what the config has at this iteration.

    Returns:
        what changed; nothing unless that is allowed.

    Raises:
        ValueError: optimiser or schedule differ, and ``allow_changes`` is False.
    """
    state, schedules = checkpoint['optimizer'], checkpoint['param_schedulers']
    changed = [
        *_optimizer_differences(_groups_of(state), optim_wrapper, recorded, config),
        *_schedule_differences(schedules, schedulers),
    ]
    if changed and not allow_changes:
        longer = [d for d in other_differences(recorded, config) if d.key == _LENGTH]
        raise ValueError(
            f'the config has another optimiser or schedule than the run to resume: '
            f"{', '.join(map(str, longer + changed))}. Set what the run has, or take the config's "
            f'from here on: --allow-changes (allow_changes=True)'
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
    _advance(schedulers, checkpoint['meta']['iter'])
    return changed


def settled_precision(checkpoint: Mapping[str, Any], precision: str) -> str:
    """The precision of the run to resume, which that of the config may be, or "auto".

    Raises:
        ValueError: it is another one.
    """
    before = checkpoint['meta']['precision']
    if precision not in ('auto', before):
        raise ValueError(
            f'the run to resume has precision {before}, the config has precision={precision!r}: '
            f'it would be another run. Set precision={before!r}'
        )
    return before


def settled_seed(checkpoint: Mapping[str, Any], seed: int | None) -> int:
    """The seed of the run to resume, which that of the config may be, or None.

    Raises:
        ValueError: it is another one.
    """
    before = checkpoint['meta']['seed']
    if seed not in (None, before):
        raise ValueError(
            f'the run to resume has seed {before}, the config has randomness.seed={seed}: it would '
            f'continue with other samples. Set randomness=dict(seed={before})'
        )
    return before


def other_batch(before: int, now: int) -> str:
    """That the run to resume had another global batch size, and how to keep it."""
    return (
        f'the run to resume had {before} samples an update over all processes, this one has {now}: '
        f'it is another run from here on. Set global_batch_size={before} to continue with as many '
        f'(model.step.micro_batch_size saves memory)'
    )


def other_differences(recorded: Config, config: Config) -> list[Difference]:
    """What else of the run the config has otherwise, which a resumed run takes."""
    return list(
        differences(
            {key: value for key, value in recorded.items() if key not in _NO_PART_OF_THE_RUN},
            {key: value for key, value in config.items() if key not in _NO_PART_OF_THE_RUN},
        )
    )


def differences(before: Any, now: Any, key: str = '') -> Iterator[Difference]:
    """Where two configs differ, by dotted keys as ``--cfg-options`` takes them."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in {**before, **now}:
            path = f'{key}.{name}' if key else name
            yield from differences(before.get(name, _NOT_SET), now.get(name, _NOT_SET), path)
    elif _are_lists_of_dicts(before, now):
        for i, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, f'{key}.{i}')
    elif _plain(before) != _plain(now):
        yield Difference(key, before, now)


def _are_lists_of_dicts(before: Any, now: Any) -> bool:
    return (
        isinstance(before, list)
        and isinstance(now, list)
        and len(before) == len(now)
        and all(isinstance(part, Mapping) for part in [*before, *now])
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _optimizer_differences(
    recorded_groups: list[dict[str, Any]],
    optim_wrapper: OptimWrapper,
    recorded: Config,
    config: Config,
) -> Iterator[Difference]:
    """Of the settings in the optimiser's groups; of those that are not there, by the configs."""
    groups = optim_wrapper.param_groups
    for difference in differences(*(_beside(groups[0], each) for each in (recorded, config))):
        yield difference._replace(key=f'optim_wrapper.{difference.key}')
    sizes = [[len(group['params']) for group in each] for each in (recorded_groups, groups)]
    if sizes[0] != sizes[1]:
        yield Difference(_GROUPS, *sizes)
        return
    found: dict[str, Difference] = {}  # of many groups, the first that differs
    for before, now in zip(map(_settings, recorded_groups), map(_settings, groups), strict=True):
        for name in before.keys() & now.keys():  # other versions of torch have others
            if _plain(before[name]) != _plain(now[name]):
                key = f'optim_wrapper.optimizer.{name}'
                found.setdefault(key, Difference(key, before[name], now[name]))
    yield from sorted(found.values())


def _groups_of(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As ``OptimWrapper.param_groups``: of many groups, mmengine appends what they go back to."""
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
    """A group's, before any schedule: lr is its initial one."""
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
        both = [
            {name: value for name, value in each.items() if name not in _SCHEDULE_PROGRESS}
            for each in (state, scheduler.state_dict())
        ]
        yield from differences(*both, f'param_scheduler.{i}')


def _advance(schedulers: Sequence[_ParamScheduler], iteration: int) -> None:
    """Steps schedules as training does, from iteration 0: mmengine's know no shorter way."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # no update belongs to these steps
        for _ in range(iteration):
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
