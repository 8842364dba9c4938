"""Parses ``--cfg-options``: values are Python literals where possible, otherwise text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

_BRACKETS = {'[': ']', '(': ')'}
_WORDS = {'true': True, 'false': False, 'none': None}


def parse_value(text: str) -> Any:
    """Parses a number, True, False, None, a list ``[a, b]`` or ``a,b``, or a tuple ``(a, b)``.

    Quoted text and paths of existing files or folders are taken literally.

    Raises:
        ValueError: a bracket or quote is not closed.
    """
    text = text.strip()
    if len(text) > 1 and text[0] in '\'"' and text[-1] == text[0] and text[0] not in text[1:-1]:
        return text[1:-1]
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    if any(c in text for c in ',[(') and _exists(text):
        return text
    closing = _BRACKETS.get(text[:1])
    if closing and text.endswith(closing):
        parts = [parse_value(part) for part in _split(text[1:-1]) if part.strip()]
        return parts if closing == ']' else tuple(parts)
    parts = _split(text)
    return text if len(parts) == 1 else [parse_value(part) for part in parts if part.strip()]


def overridden(config: Config, options: Sequence[str]) -> None:
    """Overrides a config by options KEY=VALUE with dotted keys.

    A value with commas stays text if it looks like a path and replaces text.

    Raises:
        ValueError: an option has another form, or a part of its key is not a dict or list.
    """
    for option in options:
        key, sign, text = option.partition('=')
        if not sign or not key:
            raise ValueError(f'--cfg-options {option}: must be KEY=VALUE')
        is_path = '/' in text and text[:1] not in _BRACKETS
        try:
            value = text if is_path and isinstance(_at(config, key), str) else parse_value(text)
            if isinstance(value, str) and text[:1] in '\'"':
                value = parse_value(text)
            config.merge_from_dict({key: value})
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
            reason = str(error.args[0] if error.args else error).splitlines()[0]
            raise ValueError(f'--cfg-options {option}: {reason}') from error


def _at(config: Mapping, key: str) -> Any:
    """The value at a dotted key of a config; None if there is none."""
    found: Any = config
    for part in key.split('.'):
        if isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, Config | Mapping) and part in found:
            found = found[part]
        else:
            return None
    return found


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # the name is too long
        return False


def _split(text: str) -> list[str]:
    """The parts between commas that are not in brackets or quotes."""
    parts, opened, quote = [''], [], None
    for char in text:
        if quote:
            quote = None if char == quote else quote
        elif char in '\'"' and not parts[-1].strip(' [('):
            quote = char  # otherwise it is an apostrophe
        elif char in _BRACKETS:
            opened.append(_BRACKETS[char])
        elif char in _BRACKETS.values():
            if not opened or opened.pop() != char:
                raise ValueError(f'{char!r} closes no bracket; quote text that contains brackets')
        elif char == ',' and not opened:
            parts.append('')
            continue
        parts[-1] += char
    if missing := opened[-1] if opened else quote:
        raise ValueError(f'{missing!r} is missing; quote text that contains brackets')
    return parts
