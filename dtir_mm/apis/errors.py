"""Errors of tools: one line for those of the user, a traceback for bugs."""

import os
import re
import sys
import sysconfig
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

import cv2
import torch

from dtir_mm.names import shown
from dtir_mm.weights_file import CheckpointError

_USER_ERRORS = (OSError, ValueError, KeyError, ImportError, CheckpointError, FloatingPointError)
_PACKAGE = Path(__file__).resolve().parents[1]
_STANDARD = [Path(sysconfig.get_path(name)) for name in ('stdlib', 'platstdlib')]
_NOT_THE_USERS = tuple(
    f'{folder.resolve()}{os.sep}'
    for folder in (_PACKAGE, *(_PACKAGE.parent / n for n in ('experiments', 'tools')), *_STANDARD)
)
_INSTALLED = {'site-packages', 'dist-packages'}  # also the user's, and those of a base environment
_INTERRUPTED = 130  # as shells have it: 128 + SIGINT
_GRACE_SECONDS = 10  # for the launcher, which checks its processes every few seconds


@contextmanager
def one_line_errors(tool: str | None = None, interrupted: str = 'interrupted') -> Iterator[None]:
    """Ends the program with status 1 and ``<tool>: message`` for errors in the user's input.

    Errors in the user's own code and unforeseen errors keep their traceback, the latter with a
    request to report them. Ctrl-C gives status 130 and the message ``interrupted``. If several
    processes fail, only the first one prints. The default ``tool`` is the program's name.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # file names may not be valid in any encoding
            stream.reconfigure(errors='backslashreplace')
    tool = tool or program()
    try:
        yield
    except KeyboardInterrupt:
        _leave(_INTERRUPTED, f'{tool}: {interrupted}')
    except Exception as error:
        _leave(1, _account_of(tool, error))


def program() -> str:
    """The name of this program in messages: "train" for tools/train.py and ``dtir-mm train``."""
    return Path(sys.argv[0].removeprefix('dtir-mm ')).stem


def message_of(error: BaseException) -> str:
    """The message of an error; for one from a data loader's worker, its last line."""
    if _lacks_memory(error):
        asked = re.search(r'allocate (\d+) bytes', str(error))  # on CPUs, after a source file
        said = (
            f'out of memory, {asked[1]} bytes asked for' if asked else str(error).partition('.')[0]
        )
        said = said or 'out of memory'
        return f'{said}. A smaller model.step.micro_batch_size, patch or tile needs less'
    if isinstance(error, UnicodeEncodeError):
        return (
            f'{_word_around(error)} has characters that are not UTF-8, which configs, logs and '
            f'weights cannot hold: rename that file or folder, or name another one'
        )
    message = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()
    if re.match(r'Caught \w+ in \w+ worker process', message):
        message = re.sub(r'^[\w.]+(Error|Exception): ', '', message.splitlines()[-1])
    return message.strip('\'"') if isinstance(error, KeyError) else message


def _word_around(error: UnicodeEncodeError) -> str:
    """The path or quoted text around the characters that cannot be encoded."""
    before = re.split(r'[\n\'"]', error.object[: error.start])[-1]
    after = re.split(r'[\n\'"]', error.object[error.start :])[0]
    return shown(before + after)


def _lacks_memory(error: BaseException) -> bool:
    """Whether memory ran out, also on CPUs and in OpenCV, which have no class for this error."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = ("can't allocate memory", 'Insufficient memory')
    return isinstance(error, RuntimeError | cv2.error) and any(each in str(error) for each in said)


def _account_of(tool: str, error: Exception) -> str:
    own = _place_in_the_users_code(tool, error)
    message = message_of(error)
    if own is None and _is_foreseen(error, message):
        return f'{tool}: {message}'
    text = ''.join(traceback.format_exception(error))
    if own is not None:
        return f'{text}{tool}: {type(error).__name__} in your own code, {own}'
    return (
        f'{text}{tool}: this is a fault of dtir_mm and not of yours. Please report it, with the '
        f'lines above and what `dtir-mm check-env` prints'
    )


def _is_foreseen(error: Exception, message: str) -> bool:
    """Whether the message is for the user, unlike that of a missing key in our own code."""
    is_sentence = ' ' in message or not isinstance(error, KeyError)
    usual = isinstance(error, _USER_ERRORS) or _lacks_memory(error)
    return usual and bool(message) and is_sentence


def _place_in_the_users_code(tool: str, error: Exception) -> str | None:
    """The last line that ran outside of dtir_mm, its tools (any clone) and installed packages."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    frames += re.findall(r'^ *File "([^"]+)", line (\d+)', str(error), re.M)  # of workers
    own = [
        f'{file}, line {line}'
        for file, line in frames
        if Path(file).is_file()
        and not str(Path(file).resolve()).startswith(_NOT_THE_USERS)
        and Path(file).parts[-2:] != ('tools', f'{tool}.py')
        and not _INSTALLED & set(Path(file).parts)
    ]
    return own[-1] if own else None


def _leave(status: int, text: str) -> None:
    """Ends the program; other processes wait for the first, whose message is enough if it fails."""
    rank = next((os.environ[n] for n in ('RANK', 'SLURM_PROCID') if n in os.environ), '0')
    if rank != '0':
        if status == _INTERRUPTED:
            raise SystemExit(status)
        time.sleep(_GRACE_SECONDS)
        text = f'process {rank}: {text}'
    sys.stdout.flush()  # keeps the order of output
    sys.stderr.write(f'{text}\n')
    raise SystemExit(status)
