"""JSON from untrusted files: data of bounded depth, or a one-line error."""

import json
from pathlib import Path
from typing import Any

# Far more than our files have, far less than Python's recursion limit.
MAX_DEPTH = 100


def parse_json(text: str, source: object) -> Any:
    """Parses a JSON text, which messages call ``source``.

    Raises:
        ValueError: it is not JSON, or is nested deeper than ``MAX_DEPTH``.
    """
    try:
        data = json.loads(text)
    except RecursionError:
        data = None
    except ValueError as error:
        raise ValueError(f'{source} is not JSON: {error}') from error
    else:
        if _depth_within_limit(data):
            return data
    raise ValueError(
        f'{source} has lists or objects in one another deeper than {MAX_DEPTH} levels, which no '
        f'file of dtir_mm has'
    )


def read_json(path: str | Path) -> Any:
    """Parses a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: see ``parse_json``; the message names the file.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not JSON: {error}') from error
    return parse_json(text, path)


def _depth_within_limit(data: Any) -> bool:
    """Whether containers are nested at most ``MAX_DEPTH`` deep; without recursion."""
    level = [data]
    for _ in range(MAX_DEPTH):
        children = [
            child
            for container in level
            if isinstance(container, (dict, list))
            for child in (container.values() if isinstance(container, dict) else container)
        ]
        level = children
    return not any(isinstance(value, (dict, list)) for value in level)
