"""Checkpoints: written atomically, and read once as one value."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dtir_mm.engine.checkpoint_meta import CheckpointMeta, check_content, check_resumable
from dtir_mm.engine.importance import Importance
from dtir_mm.engine.old_checkpoints import upgraded
from dtir_mm.engine.weights_loading import load_weights
from dtir_mm.files import replacing
from dtir_mm.json_files import parse_json
from dtir_mm.models.objectives import GENERATIVE
from dtir_mm.models.restorers.task_timesteps import untrained_warning
from dtir_mm.weights_file import CheckpointError, read_weights_file

ONLINE = 'online_state_dict'  # the last weights, if "state_dict" has their average
_SUFFIXES = ('.pth', '.pt', '.ckpt', '.safetensors')


@dataclass(frozen=True)
class Checkpoint:
    """What a file of weights holds: a checkpoint of ours, or weights of another program.

    Attributes:
        path: the file.
        content: everything in it.
        meta: what it states about itself; defaults for weights of another program.
    """

    path: Path
    content: dict[str, Any]
    meta: CheckpointMeta

    @classmethod
    def of(cls, content: Any, path: str | Path) -> 'Checkpoint':
        """Checks what a file contains, and converts it to the format of this version.

        Raises:
            CheckpointError: it is not a dict, or its meta is invalid.
        """
        if not isinstance(content, Mapping):
            raise CheckpointError(
                f'{path} holds data of type {type(content).__name__}, not a checkpoint: expected a '
                f'dict of weights, or one that contains such a dict'
            )
        check_content(content, path)
        try:
            content = upgraded(dict(content))
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise CheckpointError(
                f'{path}: its config is not valid for version 0.1 ({error!r})'
            ) from error
        return cls(Path(path), content, CheckpointMeta.of(content))

    @property
    def origin(self) -> str:
        """The file and its folder, as files that are made from it name it."""
        return '/'.join(self.path.resolve().parts[-2:])

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights of a checkpoint of ours: their average (EMA) if there is one."""
        return self.content['state_dict']

    @property
    def averages(self) -> dict[str, Tensor]:
        """The averaged weights (EMA); empty if there are none."""
        return self.weights if ONLINE in self.content else {}

    @property
    def importance(self) -> Importance | None:
        """The importance of the weights, if it was accumulated."""
        return Importance.from_entry(self.content.get('importance'))

    @property
    def config(self) -> dict[str, Any]:
        """The config of the run, as plain data; build from it as ``trust.py`` describes.

        The Python source that mmengine's checkpoints carry is never parsed.

        Raises:
            CheckpointError: it carries no config, or one that is not JSON.
        """
        text = self.meta.config_json
        if text is None:
            raise CheckpointError(
                f'{self.path} carries no config of dtir_mm: name one with --config; in it, public '
                f'weights are a PublicNetwork (docs/backbones.md)'
            )
        try:
            config = parse_json(text, f'the config in {self.path}')
        except ValueError as error:
            raise CheckpointError(str(error)) from error
        if not isinstance(config, dict):
            raise CheckpointError(
                f'the config in {self.path} must be a dict, got {type(config).__name__}'
            )
        return config

    @property
    def timesteps(self) -> str | dict[str, int]:
        """The time steps of its training, as an argument of ``TaskTimesteps``.

        Raises:
            CheckpointError: it carries none.
        """
        fixed, by_task = self.meta.fixed_timestep, self.meta.timesteps
        if by_task is None:
            raise CheckpointError(f'{self.path} carries no time steps: dtir_mm did not write it')
        return dict(by_task) if fixed is None else f'fixed:{fixed}'

    @property
    def pretraining_warning(self) -> str | None:
        """A warning against restoring with a checkpoint of pre-training; None for others."""
        if self.meta.objective not in GENERATIVE:
            return None
        return (
            f'{self.path} is a pre-training checkpoint (objective {self.meta.objective!r}), not '
            f'fine-tuned for restoration: expect poor images, and use a fine-tuned checkpoint '
            f'unless this is what you want to measure'
        )

    def warning(self, tasks: Iterable[str | None]) -> str | None:
        """A warning against restoring ``tasks`` with it; None if it was trained for them.

        See ``untrained_warning``.
        """
        if self.pretraining_warning:
            return self.pretraining_warning
        return untrained_warning(str(self.path), self.meta.tasks, tasks)

    def online(self) -> 'Checkpoint':
        """The same with the last weights instead of their average (EMA).

        Raises:
            CheckpointError: it has only their average, as release files do.
        """
        weights = self.content.get(ONLINE)
        if weights is None and self.meta.ema_decay is not None:
            raise CheckpointError(f'{self.path} has the average of the weights (EMA), not the last')
        if weights is None:
            return self
        return replace(self, content={**self.content, 'state_dict': weights})

    def load_into(
        self, restorer: nn.Module, new_parameter_prefixes: tuple[str, ...] = (), strict: bool = True
    ) -> None:
        """Loads the weights; see ``load_weights``."""
        load_weights(restorer, self.content, str(self.path), new_parameter_prefixes, strict)

    def require_resumable(self) -> None:
        """Raises CheckpointError unless a run can be resumed from it."""
        check_resumable(self.content, self.path)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a checkpoint, or the newest undamaged one in a directory, onto the CPU.

    Nothing in it is executed.

    Raises:
        CheckpointError: the file is missing, damaged, holds more than data, or has invalid meta.
    """
    path = Path(path)
    if not path.is_dir():
        return Checkpoint.of(read_weights_file(path), path)
    damaged = []
    for file in reversed(checkpoints_in(path)):
        try:
            return load_checkpoint(file)
        except CheckpointError as error:
            damaged.append(str(error))
    if damaged:
        raise CheckpointError(
            f'none of the {len(damaged)} checkpoints in {path} can be read: {"; ".join(damaged)}'
        )
    others = sorted(p.name for p in path.iterdir() if p.suffix in _SUFFIXES)
    hint = f'; it holds {", ".join(others[:3])}: name the file itself' if others else ''
    raise CheckpointError(f'no checkpoint iter_*.pth in the directory {path}{hint}')


def checkpoints_in(work_dir: str | Path) -> list[Path]:
    """The files ``iter_N.pth`` of a run, the newest last."""
    files = [p for p in Path(work_dir).glob('iter_*.pth') if p.stem.removeprefix('iter_').isdigit()]
    return sorted(files, key=iteration_of)


def iteration_of(path: Path) -> int:
    """N of ``iter_N.pth``: the number of updates done."""
    return int(path.stem.removeprefix('iter_'))


def save_checkpoint(content: Mapping[str, Any], path: str | Path) -> None:
    """Writes a checkpoint under a temporary name, flushes it to disk and renames it.

    Raises:
        DiskFullError: the disk is full; an existing checkpoint of this name stays.
    """

    def size() -> int:
        counter = _ByteCounter()
        torch.save(content, counter)  # type: ignore[arg-type]
        return counter.count

    with replacing(path, size) as temporary, open(temporary, 'wb') as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())


class _ByteCounter:
    """A file that only counts the bytes written to it."""

    count = 0

    def write(self, data: bytes) -> int:
        self.count += len(data)
        return len(data)

    def flush(self) -> None:
        pass


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
