"""What several tests of the evidence read."""

import pytest
from evidence.evaluation import Results, read_results
from evidence.results import RESULTS


@pytest.fixture(scope='session')
def results() -> Results:
    """The committed results."""
    return read_results(RESULTS)
