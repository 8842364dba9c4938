"""One run at a time in a work directory, by a lock that ends with its process."""

import fcntl
import os
import shlex
import socket
import sys
import time
import warnings
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process

LOCK_FILE = '.lock'
_held: dict[Path, int] = {}  # descriptors of this process's lock files


class WorkDirInUseError(OSError):
    """Another process runs in the work directory; the message names it."""


def lock_work_dir(folder: str | Path) -> None:
    """Keeps other processes out of a folder until ``unlock_work_dir`` or the end of this process.

    It is a record lock (fcntl(2)) on ``.lock``: the system releases it however the process ends,
    it works across machines on NFS, and forked processes (a loader's workers, which may outlive a
    killed run) do not inherit it. The file stays, and names the last holder. This process may lock
    a folder again. If the file system has no locks, a warning says so.

    Raises:
        WorkDirInUseError: another process holds the lock; nothing was changed.
        OSError: the file cannot be written.
    """
    key = Path(folder).resolve()
    if key in _held:
        return
    try:
        file = os.open(key / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OSError(
            f'cannot lock the work directory {folder}: its {LOCK_FILE} must be a writable file '
            f'({error.strerror}). Move it away, or use another folder (--work-dir)'
        ) from error
    try:
        if os.fstat(file).st_uid == os.geteuid():
            os.fchmod(file, 0o666)  # whoever may write to the folder may lock it
        _take(file, folder)
        os.ftruncate(file, 0)
        os.pwrite(file, _this_process().encode(errors='replace'), 0)
        os.fsync(file)  # for readers on other machines
    except BaseException:
        os.close(file)
        raise
    # No other descriptor of the file may be closed in this process: that would drop the lock.
    _held[key] = file


def lock_for_all_processes(folder: str | Path) -> None:
    """The first process of a run locks for all of them; all raise the same error.

    Raises:
        WorkDirInUseError, OSError: see ``lock_work_dir``; in all processes.
    """
    refusal: list[OSError | None] = [None]
    if is_main_process():
        try:
            lock_work_dir(folder)
        except OSError as error:
            refusal = [error]
    broadcast_object_list(refusal)
    if refusal[0] is not None:
        raise refusal[0]


def unlock_work_dir(folder: str | Path) -> None:
    """Lets others into a folder that this process has locked."""
    file = _held.pop(Path(folder).resolve(), None)
    if file is not None:
        os.close(file)


def _take(file: int, folder: str | Path) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        holder = os.pread(file, 1000, 0).decode(errors='replace') or 'another process'
        raise WorkDirInUseError(
            f'{folder} is in use by {holder}. Wait until it ends or stop it, or use another folder '
            f'(--work-dir)'
        ) from None
    except OSError as error:
        warnings.warn(
            f'{folder} is not locked against a second run: its file system has no locks '
            f'({error.strerror})',
            stacklevel=3,
        )


def _this_process() -> str:
    """One line that identifies the holder."""
    command = ' '.join(shlex.join(sys.argv).split())[:300]
    since = time.strftime('%Y-%m-%d %H:%M:%S')
    return f'process {os.getpid()} on {socket.gethostname()} since {since}: {command}'
