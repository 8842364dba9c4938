"""The texts in the plot of matched time steps."""

import re

import pytest

from dtir_mm.analysis.curves import plot_curves
from dtir_mm.matching.timestep_match import TimestepMatch


def texts_of(path) -> list[str]:
    """The texts of matplotlib's SVG, which has each in a comment beside its outlines."""
    return re.findall(r'<!-- (.*?) -->', path.read_text())


@pytest.mark.parametrize(
    ('t_mat', 'fallback', 'said', 'unsaid'),
    [
        (38, 'paper', ['t_mat = 38, Table 4', 'outside the interval'], []),
        (9, 'paper', ['t_mat = 9, Table 4'], ['outside the interval']),
        (1, None, ['t_mat = 1', 'outside the interval'], []),
        (9, None, ['t_mat = 9'], ['outside the interval']),
    ],
)
def test_panels_state_the_source_of_t_mat_and_its_interval(tmp_path, t_mat, fallback, said, unsaid):
    curve = [(1, 0.5), (9, 0.4), (50, 0.6)]
    match = TimestepMatch(t_mat, (4, 12), 8, 0.9, 'unidentified', 'score', curve, 9, fallback)
    plot_curves({'low_light': match}, tmp_path / 'curves.svg')
    texts = texts_of(tmp_path / 'curves.svg')
    assert {'low_light (unidentified)', '90 %: 4 to 12', *said} <= set(texts)
    assert not set(unsaid) & set(texts)
