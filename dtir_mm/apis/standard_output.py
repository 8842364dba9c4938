"""Prints lines to an output that may be closed or full, such as that of ``| head -1``."""

import os
import sys

from tqdm import tqdm

_CLOSED = 141  # as shells have it: 128 + SIGPIPE


def say(line: str) -> None:
    """Prints a line at once, above the progress bar if there is one.

    Raises:
        OSError: the output cannot be written.
        SystemExit: its reader has closed it.
    """
    try:
        tqdm.write(line)
        sys.stdout.flush()
    except OSError as error:
        # What is in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(_CLOSED) from None
        raise OSError(f'cannot write to the standard output: {error.strerror}') from error
