"""Matched time steps as data: Table 4 of the paper, and the JSON files of our own searches."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Table 4. It belongs to the paper's network and data, and to images in a range the paper leaves open.
PAPER_TIMESTEPS: dict[str, int] = {
    'noisy': 4,
    'rainy': 8,
    'jpeg': 12,
    'snowy': 15,
    'inpainting': 19,
    'raindrop': 22,
    'shadowed': 27,
    'low_light': 38,
    'hazy': 47,
    'blurry': 50,
}


def write_timesteps(path: str | Path, tasks: Mapping[str, dict], source: Mapping[str, Any]) -> None:
    """Writes ``{"tasks": {task: match}, "source": ...}``, whole or not at all.

    Args:
        path: the JSON file; its folder is made.
        tasks: for each task, ``TimestepMatch.to_json()``.
        source: what the matches depend on: checkpoint, its hash, schedule, image range.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.tmp')
    temporary.write_text(json.dumps({'source': dict(source), 'tasks': dict(tasks)}, indent=1) + '\n')
    temporary.replace(path)


def read_matches(path: str | Path) -> dict[str, dict]:
    """For each task of a file, what ``write_timesteps`` was given.

    Raises:
        FileNotFoundError: there is no such file; the message names the command that makes one.
        ValueError: it is not such a file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'no such file of matched time steps: {path}. Make it with '
            f'tools/match_timesteps.py CHECKPOINT {path} --tasks ...'
        )
    try:
        tasks = json.loads(path.read_text())['tasks']
        if not all(isinstance(match['t_mat'], int) for match in tasks.values()):
            raise TypeError('a t_mat is not an integer')
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} is not a file of matched time steps, {{"tasks": {{name: {{"t_mat": t}}}}}}: '
            f'{error!r}'
        ) from error
    return tasks


def load_timesteps(path: str | Path) -> dict[str, int]:
    """t_mat of each task in a file; raises what ``read_matches`` raises."""
    return {task: match['t_mat'] for task, match in read_matches(path).items()}
