"""The JSON file of matched time steps: written by matching, read by training."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dtir_mm import trust
from dtir_mm.files import write_text
from dtir_mm.json_files import read_json


def write_timesteps(path: str | Path, tasks: Mapping[str, dict], source: Mapping[str, Any]) -> None:
    """Writes ``{"source": ..., "tasks": {task: match}}`` atomically.

    Args:
        path: the JSON file; missing folders are created.
        tasks: for each task, ``TimestepMatch.to_json()``.
        source: what the matches depend on: checkpoint, its hash, schedule, num_steps, image range.
    """
    document = {'source': dict(source), 'tasks': dict(tasks)}
    write_text(path, json.dumps(document, indent=1) + '\n')


def read_matches(path: str | Path, num_steps: int | None = None) -> dict[str, dict]:
    """The match of each task in a file, as ``write_timesteps`` was given it.

    Args:
        path: the JSON file.
        num_steps: T of the schedule that will use the time steps; None to accept any.

    Raises:
        FileNotFoundError: there is no such file; the message names the command that creates one.
        ValueError: it is not such a file, was matched at another T, or a t_mat is not an integer in
            1..T (T is the num_steps of its source, if it has one); the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'no such file of matched time steps: {path}. Create it with '
            f'dtir-mm match CHECKPOINT {path} --tasks ...'
        )
    document = read_json(path)
    trust.refuse_code(document, path)
    try:
        tasks = document['tasks']
        matched_at = document.get('source', {}).get('num_steps', math.inf)
        steps = {task: match.get('t_mat') for task, match in tasks.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} is not a file of matched time steps, {{"tasks": {{name: {{"t_mat": t}}}}}}. '
            f'Create it with dtir-mm match CHECKPOINT {path} --tasks ...'
        ) from error
    if num_steps is not None and matched_at not in (num_steps, math.inf):
        raise ValueError(
            f'{path} was matched at T={matched_at}, but the schedule has T={num_steps}: match again'
        )
    for task, t in steps.items():
        if type(t) is not int or not 1 <= t <= matched_at:  # JSON's true is an int to isinstance
            accepted = '>= 1' if matched_at == math.inf else f'in 1..{matched_at}'
            raise ValueError(f'{path}: {task} has t_mat={t!r}; it must be an integer {accepted}')
    return tasks


def same_source(path: str | Path, source: Mapping[str, Any]) -> bool:
    """Whether a file's matches are of the same weights, schedule and image range as ``source``."""
    document = read_json(path)
    names = ('weights_sha256', 'schedule', 'num_steps', 'image_range')
    return all(document.get('source', {}).get(name) == source[name] for name in names)


def load_timesteps(path: str | Path, num_steps: int | None = None) -> dict[str, int]:
    """t_mat of each task in a file; see ``read_matches``."""
    return {task: match['t_mat'] for task, match in read_matches(path, num_steps).items()}
