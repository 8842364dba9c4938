"""A log that cannot be written (a full disk) says so once, and disturbs nothing else."""

import logging
import sys


def report_failures_once(logger: logging.Logger) -> None:
    """Replaces the traceback that ``logging`` shows of each record that it cannot write."""
    for handler in logger.handlers:
        handler.handleError = _Report(handler)


class _Report:
    """In the place of ``logging.Handler.handleError``."""

    def __init__(self, handler: logging.Handler) -> None:
        self._default = handler.handleError
        self._name = getattr(handler, 'baseFilename', 'standard output')
        self._reported = False

    def __call__(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self._default(record)
        elif not self._reported:
            self._reported = True
            sys.stderr.write(f'cannot write the log to {self._name}: {error.strerror}\n')
