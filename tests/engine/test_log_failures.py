"""A full disk under a log file is reported once, without an error."""

import logging

import pytest

from dtir_mm.engine.log_failures import report_failures_once


@pytest.fixture
def logger():
    made = logging.Logger('test')
    made.addHandler(logging.FileHandler('/dev/full'))
    report_failures_once(made)
    yield made
    made.handlers[0].stream = None  # it cannot be flushed


def test_a_full_disk_is_reported_once(logger, capsys):
    for _ in range(3):
        logger.info('a line')
    error = capsys.readouterr().err
    assert error == 'cannot write the log to /dev/full: No space left on device\n'


def test_other_errors_are_shown_as_usual(logger, capsys):
    logger.info('%d', 'no number')
    assert 'TypeError' in capsys.readouterr().err
