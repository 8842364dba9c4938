"""What a checkpoint states about itself ("meta"), and checks of the types of its parts."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from dtir_mm.weights_file import CheckpointError

Kind = type | tuple[type, ...]

_MOST_UPDATES = 10**9
_OURS = ('config_json', 'timesteps')  # no other program writes these
# Entries that further parts must have, if they exist.
_PARTS: dict[str, dict[str, Kind]] = {
    'state_dict': {},
    'online_state_dict': {},
    'optimizer': {},
    'importance': {'omega': dict, 'anchor': dict, 'statistic': str},
    'importance_so_far': {'omega': dict, 'batches': int},
}
# What resuming requires.
_RESUMED = ('iter', 'seed', 'precision', 'config_json')
_STATES = ('state_dict', 'optimizer', 'param_schedulers')
_OPTIMIZER: dict[str, Kind] = {'state': dict, 'param_groups': list}
_LOSS_WATCH: dict[str, Kind] = {'good': (str, type(None)), 'lowest': (float, type(None))}


def _stated_as(kind: Kind, default: Any = None) -> Any:
    return field(default=default, metadata={'kind': kind})


@dataclass(frozen=True)
class CheckpointMeta:
    """What a checkpoint states about itself, under the names in the file.

    ``ema_decay`` is None if its weights are not averaged, ``fixed_timestep`` unless all tasks have
    the same; ``global_batch`` is in samples over all processes, ``iter`` in updates; ``objective``
    is what training minimised, ``timesteps`` is t_mat by task. Of the best checkpoint of a run,
    ``score`` is its value of the validation metric ``metric``.
    """

    config_json: str | None = _stated_as(str)
    ema_decay: float | None = _stated_as(float)
    fixed_timestep: int | None = _stated_as((int, type(None)))
    global_batch: int | None = _stated_as(int)
    iter: int = _stated_as(int, 0)
    metric: str | None = _stated_as(str)
    objective: str | None = _stated_as(str)
    precision: str = _stated_as(str, 'fp32')
    score: float | None = _stated_as(float)
    seed: int | None = _stated_as(int)
    stage: str | None = _stated_as(str)  # of version 0.1, instead of the objective
    tasks: Sequence[str] = _stated_as(list, ())
    timesteps: dict[str, int] | None = _stated_as(dict)
    loss_watch: Mapping[str, Any] = field(default_factory=dict)  # checked only to resume

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> 'CheckpointMeta':
        """The meta in a file's content; all defaults if dtir_mm did not write it."""
        stated = _stated(content)
        return cls(**{part.name: stated[part.name] for part in fields(cls) if part.name in stated})

    @property
    def is_ours(self) -> bool:
        """Whether dtir_mm wrote it."""
        return self.config_json is not None or self.timesteps is not None


def check_content(content: Mapping[str, Any], source: str | Path) -> None:
    """Raises CheckpointError if a part of a checkpoint of ours is invalid."""
    meta = content.get('meta', {})
    if not isinstance(meta, dict):
        raise CheckpointError(f'{source}: its meta is {_short(meta)}, but must be a dict')
    if _stated(content):
        _check_meta(meta, source)
        for key in _PARTS.keys() & content.keys():
            _check_part(key, content[key], source)


def _check_meta(meta: Mapping[str, Any], source: str | Path) -> None:
    for part in fields(CheckpointMeta):
        if part.name in meta and 'kind' in part.metadata:
            _require_kind(meta[part.name], part.metadata['kind'], f'{source}: its meta.{part.name}')
    for task in meta.get('tasks', []):
        _require_kind(task, str, f'{source}: a task in its meta.tasks')
    for key, lowest in (('iter', 0), ('global_batch', 1)):
        if not lowest <= meta.get(key, 1) <= _MOST_UPDATES:
            raise CheckpointError(
                f'{source}: its meta.{key} is {_short(meta[key])}, but must lie in '
                f'{lowest}..{_MOST_UPDATES}'
            )


def _check_part(key: str, part: Any, source: str | Path) -> None:
    entries = _PARTS[key]
    _require_kind(part, dict, f'{source}: its {key}')
    for name, kind in entries.items():
        _require_kind(part.get(name), kind, f'{source}: its {key}.{name}')
    for name in {'omega', 'anchor'} & entries.keys():
        for parameter, value in part[name].items():
            _require_kind(value, Tensor, f'{source}: its {key}.{name}[{parameter!r}]')


def check_resumable(content: Mapping[str, Any], source: str | Path) -> None:
    """Raises CheckpointError unless what passed ``check_content`` suffices to resume a run."""
    meta = _stated(content)
    missing = [f'meta.{key}' for key in _RESUMED if key not in meta]
    missing += [key for key in _STATES if key not in content]
    if missing:
        lacks = f'it lacks {", ".join(missing)}' if meta else 'it holds only weights'
        raise CheckpointError(
            f'a run of dtir_mm cannot be resumed from {source} ({lacks}): start a new run from its '
            f'weights with load_from instead'
        )
    optimizer, schedules = content['optimizer'], content['param_schedulers']
    watch = meta.get('loss_watch', {})
    _require_kind(watch, dict, f'{source}: its meta.loss_watch')
    for name, kind in _LOSS_WATCH.items():
        _require_kind(watch.get(name), kind, f'{source}: its meta.loss_watch.{name}')
    for name, kind in _OPTIMIZER.items():
        _require_kind(optimizer.get(name), kind, f'{source}: its optimizer.{name}')
    _require_kind(schedules, list, f'{source}: its param_schedulers')
    for name, parts in (
        ('optimizer.param_groups', optimizer['param_groups']),
        ('param_schedulers', schedules),
    ):
        for part in parts:
            _require_kind(part, dict, f'{source}: a part of its {name}')
    for group in optimizer['param_groups']:
        _require_kind(group.get('params'), list, f'{source}: params in its optimizer.param_groups')


def _stated(content: Mapping[str, Any]) -> dict[str, Any]:
    """The meta of a checkpoint of ours; empty for weights of another program."""
    meta = content.get('meta')
    return meta if isinstance(meta, dict) and any(key in meta for key in _OURS) else {}


def _require_kind(value: Any, kind: Kind, name: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        accepted = ' or '.join('None' if k is type(None) else k.__name__ for k in kinds)
        raise CheckpointError(f'{name} is {_short(value)}, but must be of type {accepted}')


def _short(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # Python prints no integers of thousands of digits
        return f'a number of {value.bit_length()} bits'
