"""Compares, shows and shortens file names of any length, encoding and characters."""

import hashlib
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

_LONGEST = 200  # bytes; file systems allow 255, including suffixes that are added
_NAMED = 5


def shown(path: str | Path) -> str:
    """A path as one line of text, with control characters and non-UTF-8 bytes escaped."""
    return ''.join(
        char if char.isprintable() else char.encode('unicode_escape').decode() for char in str(path)
    )


def listed(paths: Sequence[str | Path], most: int = _NAMED) -> str:
    """The first ``most`` names and the number of the others."""
    more = len(paths) - most
    return ', '.join(map(shown, paths[:most])) + (f' and {more} more' if more > 0 else '')


def pair_stem(path: Path) -> str:
    """The stem that matches the images of a pair: in NFC, since encodings of accents differ."""
    return unicodedata.normalize('NFC', path.stem)


def shortened(name: str) -> str:
    """A name that leaves room for a suffix; long names are cut and end in a hash."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return name
    mark = hashlib.sha256(encoded).hexdigest()[:16]
    return f'{encoded[:_LONGEST].decode(errors="ignore")}~{mark}'
