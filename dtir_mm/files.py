"""Atomic replacement of files, full disks, and writable folders."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dtir_mm.names import shortened, shown

_FULL = (errno.ENOSPC, errno.EDQUOT)
# In some folders, such as /proc, a new file is "no such file".
_FOLDER_REFUSES = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT)
_NEARLY_NOTHING = 64 * 2**10  # free bytes that writers leave on a full disk


class DiskFullError(OSError):
    """The disk is full; the file was not written, and an earlier version of it is unchanged."""


class ExistsByNowError(ValueError):
    """A file appeared while its content was being made; it was not replaced.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f'{shown(path)} exists by now, and is not replaced')


@contextmanager
def replacing(
    path: str | Path, size: Callable[[], int] | None = None, new: bool = False
) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends.

    Readers see either the old file or the complete new one, also after a crash or an error. Missing
    folders are created.

    Args:
        path: the file.
        size: returns the size of the complete file in bytes, for the message about a full disk.
        new: whether the file must not exist by then; two programs that write it at the same time
            do not replace each other's file.

    Raises:
        ExistsByNowError: ``new`` is set and the file exists.
        DiskFullError: the disk, or the user's quota on it, is full.
        OSError: the file cannot be written; the error names ``path``, not the temporary one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{shortened(path.name)}.{os.getpid()}.tmp')
    try:
        yield temporary
        if new:
            _link(temporary, path)
        else:
            os.replace(temporary, path)
    except Exception as error:
        if _is_of_full_disk(error, path.parent):
            needed = None if size is None else size()
            raise DiskFullError(_lack_of_space(path, temporary, needed)) from error
        if isinstance(error, OSError) and str(error.filename) == str(temporary):
            raise _error_of(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        try:
            path.open('xb').close()  # takes the name, on a file system without hard links
        except FileExistsError:
            raise ExistsByNowError(path) from error
        os.replace(temporary, path)


def _error_of(path: Path, error: OSError) -> OSError:
    """An error of the temporary file, of the same type (which follows from errno), of ``path``."""
    reason = error.strerror
    if error.filename2 is None and error.errno in _FOLDER_REFUSES:  # it could not be created
        reason = f'{reason} (its folder cannot be written to)'
    return OSError(error.errno, reason, str(path))


def names_full_disk(error: BaseException) -> bool:
    """Whether an error, or one of its causes, is a full disk or quota."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DiskFullError) or getattr(cause, 'errno', None) in _FULL:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _is_of_full_disk(error: Exception, folder: Path) -> bool:
    """Whether a full disk caused an error.

    numpy and ``torch.save`` raise errors without a reason, so free space is checked, while the
    unfinished file still exists.
    """
    if names_full_disk(error):
        return True
    unexplained = isinstance(error, RuntimeError) or (
        isinstance(error, OSError) and error.errno is None
    )
    return unexplained and shutil.disk_usage(folder).free < _NEARLY_NOTHING


def _lack_of_space(path: Path, temporary: Path, needed: int | None) -> str:
    free = shutil.disk_usage(path.parent).free
    if temporary.is_file():
        free += temporary.stat().st_size
    wanted = f'more than the {_amount(free)} that were free'
    if needed is not None:
        wanted = f'{_amount(needed)}, and {_amount(free)} were free'
    return (
        f'the disk (or your quota on it) is full: {path} needs {wanted}. '
        'What was there before stays; make room, or name another folder'
    )


def _amount(size: int) -> str:
    return f'{size / 2**20:.2f} MiB' if size >= 2**20 else f'{size / 2**10:.1f} KiB'


def write_text(path: str | Path, text: str) -> None:
    """Writes text in UTF-8, atomically (``replacing``), and escapes non-UTF-8 bytes."""
    content = text.encode(errors='backslashreplace')
    with replacing(path, lambda: len(content)) as temporary:
        temporary.write_bytes(content)


def require_writable(folder: str | Path) -> None:
    """Creates a folder if it is missing, and checks early that files can be written to it.

    Raises:
        OSError: the folder, or a file in it, cannot be created.
    """
    probe = Path(folder) / f'.writable.{os.getpid()}.tmp'
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(bytes(4096))  # a full disk still takes empty files
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(
            f'cannot write to the output folder {folder}: {error.strerror}. Name another one'
        ) from error


def require_new(path: str | Path, overwrite: bool) -> None:
    """Raises ValueError if a file exists and ``overwrite`` is False."""
    if Path(path).exists() and not overwrite:
        raise ValueError(f'{path} exists; give --overwrite to replace it')
