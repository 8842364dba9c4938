"""Matched time steps as data: Table 4 of the paper, and the JSON files of our own searches."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dtir_mm import trust
from dtir_mm.files import write_text
from dtir_mm.json_files import read_json

# Table 4, for T = 50. It belongs to the paper's network and data, and to an image range that the
# paper leaves open.
PAPER_NUM_STEPS = 50
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
        source: what the matches depend on: checkpoint, its hash, schedule, num_steps, image range.
    """
    document = {'source': dict(source), 'tasks': dict(tasks)}
    write_text(path, json.dumps(document, indent=1) + '\n')


def read_matches(path: str | Path, num_steps: int | None = None) -> dict[str, dict]:
    """For each task of a file, what ``write_timesteps`` was given.

    Args:
        path: the JSON file.
        num_steps: T of the schedule that the steps are for; None where they are only shown.

    Raises:
        FileNotFoundError: there is no such file; the message names the command that makes one.
        ValueError: it is not such a file, or was matched at another T, or a t_mat is no integer in
            1..T (T is the num_steps of its source, if it has one); the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'no such file of matched time steps: {path}. Make it with '
            f'tools/match_timesteps.py CHECKPOINT {path} --tasks ...'
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
            f'Make it with tools/match_timesteps.py CHECKPOINT {path} --tasks ...'
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
    """Whether a file's matches depend on the same weights and schedule as others, of ``source``."""
    document = read_json(path)
    names = ('weights_sha256', 'schedule', 'num_steps', 'image_range')
    return all(document.get('source', {}).get(name) == source[name] for name in names)


def load_timesteps(path: str | Path, num_steps: int | None = None) -> dict[str, int]:
    """t_mat of each task in a file; takes and raises what ``read_matches`` does."""
    return {task: match['t_mat'] for task, match in read_matches(path, num_steps).items()}


def describe_match(match: Mapping[str, Any]) -> str:
    """A match in words, such as "t_mat = 9 (90 % interval 8..12), identified".

    Args:
        match: "t_mat", "interval" and "status", "fallback" where t_mat is not the step found, and
            "reason" where none is identified: an entry of a file, be it older, or
            ``TimestepMatch.to_json()``.
    """
    t, (low, high), status = match['t_mat'], match['interval'], match['status']
    if status == 'given':
        return f't_mat = {t}, given'
    source = 'Table 4; ' if match.get('fallback') == 'paper' else ''
    outside = '' if low <= t <= high else ' does not hold it'
    why = f': {match["reason"]}' if match.get('reason') else ''
    return f't_mat = {t} ({source}90 % interval {low}..{high}{outside}), {status}{why}'
