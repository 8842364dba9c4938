"""Locks a work directory, so that only one run uses it at a time."""

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

    A record lock (fcntl(2)) on ``.lock``: the system releases it however the process ends, it works
    across machines on NFS, and forked processes (workers may outlive a killed run) do not inherit
    it. The file names the last holder. If the file system has no locks, only a warning is given.

    Raises:
        WorkDirInUseError: another process holds the lock.
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
            # Whoever may write to the folder may lock it, whatever the umask is.
            os.fchmod(file, os.stat(key).st_mode & 0o666)
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
    """The first process of a run locks for all; all raise the errors of ``lock_work_dir``."""
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
    """Releases the lock of this process on a folder, if any."""
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
    command = ' '.join([sys.argv[0], *shlex.join(sys.argv[1:]).split()])[:300]
    since = time.strftime('%Y-%m-%d %H:%M:%S')
    return f'process {os.getpid()} on {socket.gethostname()} since {since}: {command}'
