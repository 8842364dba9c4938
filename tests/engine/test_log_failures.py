"""A log on a full disk: one line, and nothing is raised."""

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


def test_a_full_disk_is_said_once(logger, capsys):
    for _ in range(3):
        logger.info('a line')
    error = capsys.readouterr().err
    assert error == 'cannot write the log to /dev/full: No space left on device\n'


def test_other_faults_show_as_ever(logger, capsys):
    logger.info('%d', 'no number')
    assert 'TypeError' in capsys.readouterr().err
