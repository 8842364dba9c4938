"""What a checkpoint says about itself ("meta"), and whether that can be."""

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dtir_mm.models.objectives import GENERATIVE
from dtir_mm.weights_file import CheckpointError

_MOST_UPDATES = 10**9
_OURS = ('config_json', 'timesteps')  # no other program writes these
_KINDS: dict[str, type | tuple[type, ...]] = {
    'config_json': str,
    'ema_decay': float,
    'fixed_timestep': (int, type(None)),
    'global_batch': int,
    'iter': int,
    'objective': str,
    'precision': str,
    'seed': int,
    'stage': str,
    'tasks': list,
    'timesteps': dict,
}
# Beside the meta, where there is such a part, and what these must have.
_PARTS: dict[str, dict[str, type]] = {
    'state_dict': {},
    'online_state_dict': {},
    'optimizer': {},
    'importance': {'omega': dict, 'anchor': dict, 'statistic': str},
    'importance_so_far': {'omega': dict, 'batches': int},
}
_RESUMED = ('iter', 'seed', 'precision', 'config_json')
_STATES = ('state_dict', 'optimizer', 'param_schedulers')
# What a run goes on with, beside its weights.
_OPTIMIZER = {'state': dict, 'param_groups': list}
_LOSS_WATCH = {'good': (str, type(None)), 'lowest': (float, type(None))}


def meta_of(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint of ours says about itself; empty for weights from elsewhere."""
    meta = checkpoint.get('meta')
    return meta if isinstance(meta, dict) and any(key in meta for key in _OURS) else {}


def check_meta(checkpoint: Mapping[str, Any], source: str | Path) -> None:
    """Raises CheckpointError where a checkpoint of ours says what cannot be, in a line."""
    meta = checkpoint.get('meta', {})
    if not isinstance(meta, dict):
        raise CheckpointError(f'{source}: its meta is {_short(meta)}, but must be a dict')
    if not meta_of(checkpoint):
        return
    for key, kind in _KINDS.items():
        if key in meta:
            _require_kind(meta[key], kind, f'{source}: its meta.{key}')
    for task in meta.get('tasks', []):
        _require_kind(task, str, f'{source}: a task in its meta.tasks')
    for key, lowest in (('iter', 0), ('global_batch', 1)):
        if not lowest <= meta.get(key, 1) <= _MOST_UPDATES:
            raise CheckpointError(
                f'{source}: its meta.{key} is {_short(meta[key])}, but must lie in '
                f'{lowest}..{_MOST_UPDATES}'
            )
    for key, entries in _PARTS.items():
        if key not in checkpoint:
            continue
        _require_kind(checkpoint[key], dict, f'{source}: its {key}')
        for name, kind in entries.items():
            _require_kind(checkpoint[key].get(name), kind, f'{source}: its {key}.{name}')
        for name in {'omega', 'anchor'} & entries.keys():
            for parameter, value in checkpoint[key][name].items():
                _require_kind(value, Tensor, f'{source}: its {key}.{name}[{parameter!r}]')


def require_resumable(checkpoint: Mapping[str, Any], source: str | Path) -> None:
    """Raises CheckpointError unless a run can go on from a checkpoint; the message says what can.

    ``check_meta`` has seen it. Whether optimiser and schedules are the config's, which is another
    matter, ``resuming.py`` says.
    """
    meta = meta_of(checkpoint)
    missing = [f'meta.{key}' for key in _RESUMED if key not in meta]
    missing += [key for key in _STATES if key not in checkpoint]
    if missing:
        lacks = f'it lacks {", ".join(missing)}' if meta else 'it holds weights alone'
        raise CheckpointError(
            f'{source} is no checkpoint that a run of dtir_mm can be resumed from ({lacks}): start '
            f'a new run from its weights with load_from instead'
        )
    optimizer, schedules = checkpoint['optimizer'], checkpoint['param_schedulers']
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


def not_fine_tuned(checkpoint: Mapping[str, Any], source: str | Path) -> str | None:
    """What to know before restoring by a checkpoint of pre-training; None for any other."""
    objective = meta_of(checkpoint).get('objective')
    if objective not in GENERATIVE:
        return None
    return (
        f'{source} is a checkpoint of pre-training (objective {objective!r}), not fine-tuned for '
        f'restoration: expect poor images, and name a fine-tuned one where that is not what you '
        f'measure'
    )


def _require_kind(value: Any, kind: type | tuple[type, ...], name: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        accepted = ' or '.join('None' if k is type(None) else k.__name__ for k in kinds)
        raise CheckpointError(f'{name} is {_short(value)}, but must be of type {accepted}')


def _short(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # whole numbers of thousands of digits have none
        return f'a number of {value.bit_length()} bits'
