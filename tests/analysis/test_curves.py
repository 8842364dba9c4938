"""What the plot of matched time steps says."""

import re

import pytest

from dtir_mm.analysis.curves import plot_curves
from dtir_mm.diffusion.timestep_matching import TimestepMatch


def texts_of(path) -> list[str]:
    """The texts of an SVG of matplotlib, which notes each beside its outlines."""
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
def test_a_panel_tells_where_t_mat_comes_from_and_lies(tmp_path, t_mat, fallback, said, unsaid):
    curve = [(1, 0.5), (9, 0.4), (50, 0.6)]
    match = TimestepMatch(t_mat, (4, 12), 8, 0.9, 'unidentified', 'score', curve, 9, fallback)
    plot_curves({'low_light': match}, tmp_path / 'curves.svg')
    texts = texts_of(tmp_path / 'curves.svg')
    assert {'low_light (unidentified)', '90 %: 4 to 12', *said} <= set(texts)
    assert not set(unsaid) & set(texts)
