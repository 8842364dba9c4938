"""What several tests of the evidence read, and how they compare two arms."""

import pytest
from evidence.evaluation import Results, differences, pooled, read_results
from evidence.inference import Estimate
from evidence.results import RESULTS


@pytest.fixture(scope='session')
def results() -> Results:
    """The committed results."""
    return read_results(RESULTS)


@pytest.fixture(scope='session')
def difference(results):
    """The difference in dB between two arms, over tasks."""

    def of(arm: str, base: str, domain: str, *tasks: str) -> Estimate:
        assert arm != base
        found = {t: differences(results, {arm: 1, base: -1}, t, domain) for t in tasks}
        assert all(len(seeds) >= 3 for seeds, _ in found.values())
        return pooled(found)

    return of
