"""Checkpoints as data: written whole or not at all, read without running what they contain."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dtir_mm import compat
from dtir_mm.engine.old_checkpoints import upgraded
from dtir_mm.engine.sharding import divided_like
from dtir_mm.files import replacing
from dtir_mm.json_files import parse_json
from dtir_mm.models.backbones.release_weights import from_release, is_release

ONLINE = 'online_state_dict'  # beside averaged weights, which are the "state_dict" then


class CheckpointError(RuntimeError):
    """A checkpoint cannot be read, or does not fit the network."""


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
    """Reads a checkpoint onto the CPU, with ``weights_only=True``: nothing in it is executed.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than data.
    """
    path = Path(path)
    if path.is_dir():
        path = latest_checkpoint(path)
    if not path.is_file():
        raise CheckpointError(f'no such checkpoint: {path}')
    try:
        with torch.serialization.safe_globals(compat.safe_checkpoint_globals()):
            loaded = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise CheckpointError(
            f'{path} is not a readable checkpoint of plain data (tensors, numbers, strings): '
            f'{reason}'
        ) from error
    return upgraded(loaded)


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
    raise CheckpointError(
        f'no readable checkpoint iter_*.pth in {work_dir}' + ''.join(f'\n  {d}' for d in damaged)
    )


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
    meta = checkpoint.get('meta', {})
    if 'timesteps' not in meta:
        raise CheckpointError('the checkpoint carries no time steps; it is not one of dtir_mm')
    fixed = meta['fixed_timestep']
    return dict(meta['timesteps']) if fixed is None else f'fixed:{fixed}'


def online_weights(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint with the weights of its last update, where it offers their average (EMA)."""
    return {**checkpoint, 'state_dict': checkpoint.get(ONLINE, checkpoint['state_dict'])}


def load_weights(
    model: torch.nn.Module,
    checkpoint: dict[str, Any],
    source: str,
    introduced: tuple[str, ...] = (),
) -> None:
    """Loads a restorer's weights, all of them and nothing else.

    Weights under a prefix that the stage has ``introduced`` keep their initial values where the
    checkpoint has none under that prefix.

    A file with the bare network's weights ("params" of BasicSR-style files, or a plain state dict)
    goes into the wrapped network; time conditioning then keeps its initial zero effect. One of the
    authors' released code has the time conditioning as well.

    Raises:
        CheckpointError: keys are missing, unknown or of another shape; the message lists them.
    """
    weights = next(
        (checkpoint[k] for k in ('state_dict', 'params_ema', 'params') if k in checkpoint),
        checkpoint,
    )
    if is_release(weights):
        try:
            weights = {f'backbone.{name}': w for name, w in from_release(weights).items()}
        except ValueError as error:
            raise CheckpointError(f'{source}: {error}') from error
    target = model
    if not any(key.startswith('backbone.') for key in weights):
        target = model.backbone.net
    expected = target.state_dict()
    new = tuple(p for p in introduced if not any(key.startswith(p) for key in weights))
    weights = {**weights, **{key: expected[key] for key in expected if key.startswith(new)}}
    require_same_architecture(weights, expected, source, type(target).__name__)
    target.load_state_dict({key: divided_like(weights[key], expected[key]) for key in expected})


def require_same_architecture(
    weights: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    source: str,
    target: str,
) -> None:
    """Raises CheckpointError unless weights have the keys and shapes of the expected ones.

    The message lists what differs; ``source`` and ``target`` name the two.
    """
    problems = [f'missing: {key}' for key in expected if key not in weights]
    problems += [f'not in this network: {key}' for key in weights if key not in expected]
    problems += [
        f'{key}: {tuple(weights[key].shape)} in the file, {tuple(value.shape)} in the network'
        for key, value in expected.items()
        if key in weights and weights[key].shape != value.shape
    ]
    if problems:
        shown = '\n  '.join(problems[:20])
        more = f'\n  ... and {len(problems) - 20} more' if len(problems) > 20 else ''
        raise CheckpointError(
            f'{source} holds weights of another architecture than {target}:\n  {shown}{more}'
        )
