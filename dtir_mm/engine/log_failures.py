"""Reports once that a log cannot be written (on a full disk), without ending the run."""

import logging
import sys


def report_failures_once(logger: logging.Logger) -> None:
    """Replaces the traceback that ``logging`` prints for each record that it cannot write."""
    for handler in logger.handlers:
        handler.handleError = _Report(handler)  # type: ignore[method-assign]


class _Report:
    """Replaces ``logging.Handler.handleError``."""

    _reported = False

    def __init__(self, handler: logging.Handler) -> None:
        self._default = handler.handleError
        self._name = getattr(handler, 'baseFilename', 'standard output')

    def __call__(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self._default(record)
        elif not self._reported:
            self._reported = True
            sys.stderr.write(f'cannot write the log to {self._name}: {error.strerror}\n')
