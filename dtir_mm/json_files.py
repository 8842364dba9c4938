"""JSON that anybody may have written: data of bounded depth, or one line that says why not."""

import json
from pathlib import Path
from typing import Any

# Far more than any file of ours has, far less than what recursion over it could stand.
MAX_DEPTH = 100


def parse_json(text: str, source: object) -> Any:
    """What a JSON text says.

    Args:
        text: the JSON.
        source: what the text is, for the message.

    Raises:
        ValueError: it is not JSON, or lists and objects lie in one another deeper than
            ``MAX_DEPTH``.
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
    """What a JSON file says.

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
    """Whether containers lie in one another at most ``MAX_DEPTH`` deep; without recursion."""
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
