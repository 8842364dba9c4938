"""Checkpoints as data: written whole or not at all, read without running what they contain."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log

from dtir_mm.engine.checkpoint_meta import check_meta, meta_of, require_resumable
from dtir_mm.engine.old_checkpoints import upgraded
from dtir_mm.engine.sharding import shard_like
from dtir_mm.files import replacing
from dtir_mm.json_files import parse_json
from dtir_mm.models.backbones.release_weights import from_release, is_release
from dtir_mm.models.matching_weights import Fit, best, fit, require_sound
from dtir_mm.models.wrapped_weights import candidates
from dtir_mm.weights_file import CheckpointError, read_weights_file

ONLINE = 'online_state_dict'  # beside averaged weights, which are the "state_dict" then
_SUFFIXES = ('.pth', '.pt', '.ckpt', '.safetensors')


def save_checkpoint(checkpoint: dict[str, Any], path: str | Path) -> None:
    """Saves a checkpoint under a temporary name, flushes it to disk and renames it.

    Raises:
        DiskFullError: there is no room for it; a checkpoint of the same name stays.
    """

    def size() -> int:
        counter = _ByteCounter()
        torch.save(checkpoint, counter)
        return counter.count

    with replacing(path, size) as temporary, open(temporary, 'wb') as file:
        torch.save(checkpoint, file)
        file.flush()
        os.fsync(file.fileno())


class _ByteCounter:
    """A file that keeps nothing but its length."""

    count = 0

    def write(self, data: bytes) -> int:
        self.count += len(data)
        return len(data)

    def flush(self) -> None:
        pass


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint, or the newest in a directory, onto the CPU; nothing in it is executed.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than data; or what it says
            about itself cannot be.
    """
    path = Path(path)
    if path.is_dir():
        path = latest_checkpoint(path)
    loaded = read_weights_file(path)
    if not isinstance(loaded, Mapping):
        raise CheckpointError(
            f'{path} holds data of type {type(loaded).__name__}, not a checkpoint: a dict of '
            f'weights, and what goes with them, is expected'
        )
    check_meta(loaded, path)
    try:
        return upgraded(dict(loaded))
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f'{path}: its config is none of version 0.1 ({error!r})') from error


def iteration_of(path: Path) -> int:
    """N of ``iter_N.pth``: the updates done."""
    return int(path.stem.removeprefix('iter_'))


def checkpoints_in(work_dir: str | Path) -> list[Path]:
    """The files ``iter_N.pth`` of a run, the newest last."""
    files = [p for p in Path(work_dir).glob('iter_*.pth') if p.stem.removeprefix('iter_').isdigit()]
    return sorted(files, key=iteration_of)


def latest_checkpoint(work_dir: str | Path) -> Path:
    """The newest checkpoint of a run that can be read.

    Where the last one is damaged, the one before is taken.

    Raises:
        CheckpointError: there is none.
    """
    damaged = []
    for path in reversed(checkpoints_in(work_dir)):
        try:
            load_checkpoint(path)
        except CheckpointError as error:
            damaged.append(str(error))
        else:
            return path
    if damaged:
        raise CheckpointError(
            f'no checkpoint in {work_dir} can be read, of {len(damaged)}: {"; ".join(damaged)}'
        )
    others = sorted(p.name for p in Path(work_dir).iterdir() if p.suffix in _SUFFIXES)
    named = f'; it holds {", ".join(others[:3])}: name the file itself' if others else ''
    raise CheckpointError(f'no checkpoint iter_*.pth in the directory {work_dir}{named}')


def checkpoint_to_resume(resume: str | bool, work_dir: str | Path) -> dict[str, Any] | None:
    """What a run goes on from: the checkpoint that ``resume`` names, or the newest of the run's.

    None where there is none. What is there and cannot be read is no reason to begin anew.

    Raises:
        CheckpointError: it cannot be read, or not be resumed from.
    """
    named = isinstance(resume, str)
    if not named and not checkpoints_in(work_dir):
        return None
    source = resume if named else work_dir
    checkpoint = load_checkpoint(source)
    require_resumable(checkpoint, source)
    return checkpoint


def config_to_json(config: dict[str, Any]) -> str:
    """A config as JSON text.

    Raises:
        TypeError: it holds something that is not data (a class, a function).
    """
    try:
        return json.dumps(config)
    except TypeError as error:
        raise TypeError(
            f'the config must be plain data, so that checkpoints can carry it as JSON: {error}'
        ) from error


def config_of(checkpoint: dict[str, Any], source: str | Path = 'the checkpoint') -> dict[str, Any]:
    """The config that a checkpoint of ours carries, as plain data.

    Python text, which mmengine's checkpoints carry, is never parsed. To build from it takes what
    ``trust.py`` has.

    Args:
        checkpoint: what was read.
        source: its file, for messages.

    Raises:
        CheckpointError: the checkpoint carries no config, or one that is not JSON.
    """
    meta = checkpoint.get('meta')
    text = meta.get('config_json') if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        raise CheckpointError(f'{source} carries no config of dtir_mm; name one with --config')
    try:
        config = parse_json(text, f'the config in {source}')
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(config, dict):
        raise CheckpointError(f'the config in {source} must be a dict, got {type(config).__name__}')
    return config


def timesteps_of(checkpoint: dict[str, Any]) -> str | dict[str, int]:
    """The time steps that a checkpoint of ours was trained with, as a spec of ``TaskTimesteps``.

    Raises:
        CheckpointError: the checkpoint is not one of ours.
    """
    meta = meta_of(checkpoint)
    if 'timesteps' not in meta:
        raise CheckpointError('the checkpoint carries no time steps; it is not one of dtir_mm')
    fixed = meta.get('fixed_timestep')
    return dict(meta['timesteps']) if fixed is None else f'fixed:{fixed}'


def online_weights(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint with the weights of its last update, where it offers their average (EMA)."""
    return {**checkpoint, 'state_dict': checkpoint[ONLINE]} if ONLINE in checkpoint else checkpoint


def load_weights(
    model: torch.nn.Module,
    checkpoint: dict[str, Any],
    source: str,
    new_parameter_prefixes: tuple[str, ...] = (),
    strict: bool = True,
) -> None:
    """Loads a restorer's weights, all of them and nothing else, unless it is not ``strict``.

    Weights under a prefix in ``new_parameter_prefixes``, which the stage adds, keep their initial
    values where the checkpoint has none under that prefix.

    Another program's file may have them in a dict or under a prefix (``wrapped_weights.py``); what
    was taken goes into the log. The bare network's weights go into the wrapped network; what else
    the restorer has keeps its initial values. A file of the authors' released code has the time
    conditioning as well.

    Args:
        model: the restorer.
        checkpoint: of ``load_checkpoint``.
        source: what messages call it.
        new_parameter_prefixes: see above.
        strict: False takes what fits by name and shape; the log lists what stayed as it was.

    Raises:
        CheckpointError: names or shapes differ (or, if not strict, nothing fits), or values are not
            finite; the message shows them.
    """
    part, found = _fit_into(model, checkpoint, source, new_parameter_prefixes)
    name = type(part).__name__
    if not found.names or (strict and not found.is_exact):
        raise CheckpointError(found.difference(source, name))
    weights = {key: found.candidate.weights[key] for key in found.names}
    require_sound(weights, part, source)
    part.load_state_dict(
        {
            key: shard_like(weights.get(key, value), value)
            for key, value in part.state_dict().items()
        }
    )
    notes = [found.candidate.found] if found.candidate.found else []
    if part is not model:
        notes.append(f'into {name} alone: the rest of the restorer starts as initialised')
    if not found.is_exact:
        stayed = [key for key in found.expected if key not in weights]
        unused = [key for key in found.candidate.weights if key not in weights]
        notes.append(f'{len(stayed)} of the network stay as they were: {", ".join(stayed)}')
        notes.append(f'{len(unused)} of the file have no place: {", ".join(unused)}')
    if notes:
        print_log(f'{source}: {len(weights)} tensors loaded, {"; ".join(notes)}', 'current')


def _fit_into(
    model: torch.nn.Module,
    checkpoint: dict[str, Any],
    source: str,
    new_parameter_prefixes: tuple[str, ...],
) -> tuple[torch.nn.Module, Fit]:
    """The restorer, or the network in it, and the weights that fit it best."""
    fits = list(_fits(model, checkpoint, source, new_parameter_prefixes))
    chosen = best(found for _, found in fits)
    return next((part, found) for part, found in fits if found is chosen)


def _fits(
    model: torch.nn.Module,
    checkpoint: dict[str, Any],
    source: str,
    new_parameter_prefixes: tuple[str, ...],
) -> Iterator[tuple[torch.nn.Module, Fit]]:
    for candidate in candidates(checkpoint, source):
        if is_release(candidate.weights):
            try:
                ours = from_release(candidate.weights)
            except ValueError as error:
                raise CheckpointError(f'{source}: {error}') from error
            candidate = candidate._replace(weights={f'backbone.{n}': w for n, w in ours.items()})
        names = candidate.weights
        whole = any(name.startswith('backbone.') for name in names)
        part = model if whole else model.backbone.net
        absent = tuple(
            p for p in new_parameter_prefixes if not any(name.startswith(p) for name in names)
        )
        expected = {n: v for n, v in part.state_dict().items() if not n.startswith(absent)}
        yield part, fit(candidate, expected)
