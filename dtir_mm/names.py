"""Names of files, which may be long, in any encoding and of any characters: compared and shown."""

import hashlib
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

_LONGEST = 200  # bytes; file systems allow 255, and suffixes and marks are added
_NAMED = 5


def shown(path: str | Path) -> str:
    """A path as one line of text: control characters and bytes that are not UTF-8 are escaped."""
    return ''.join(
        char if char.isprintable() else char.encode('unicode_escape').decode() for char in str(path)
    )


def listed(paths: Sequence[str | Path], most: int = _NAMED) -> str:
    """The first names of several, and how many more there are."""
    more = len(paths) - most
    return ', '.join(map(shown, paths[:most])) + (f' and {more} more' if more > 0 else '')


def pair_stem(path: Path) -> str:
    """The stem by which the images of a pair find each other.

    Of the two ways to write an accented letter in Unicode some systems prefer one, some the other:
    they count as the same.
    """
    return unicodedata.normalize('NFC', path.stem)


def shortened(name: str) -> str:
    """A name that leaves room for a suffix: what is too long ends in a mark of the whole name."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return name
    mark = hashlib.sha256(encoded).hexdigest()[:16]
    return f'{encoded[:_LONGEST].decode(errors="ignore")}~{mark}'
