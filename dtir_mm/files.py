"""Files that are there whole or not at all, and folders that can be written to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dtir_mm.names import shortened


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends.

    Whoever reads ``path`` sees the old file or the whole new one, also after a crash in between.
    Missing folders are made. After an error the old file stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{shortened(path.name)}.{os.getpid()}.tmp')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` in UTF-8 as it is, whole or not at all.

    Bytes of file names that are not UTF-8 become escapes.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8', errors='backslashreplace', newline='')


def require_writable(folder: str | Path) -> None:
    """Makes a folder where it is missing, before time is spent on what it shall hold.

    Raises:
        OSError: it cannot be made, or files in it cannot; the message names the folder.
    """
    probe = Path(folder) / f'.writable.{os.getpid()}.tmp'
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(
            f'cannot write to the output folder {folder}: {error.strerror}. Name another one'
        ) from error


def require_new(path: str | Path, overwrite: bool) -> None:
    """Keeps a file from being overwritten without a word.

    Raises:
        ValueError: the file exists and ``overwrite`` is False.
    """
    if Path(path).exists() and not overwrite:
        raise ValueError(f'{path} exists; give --overwrite to replace it')
