"""Figures in grey: markers, without a fill, have different shapes."""

from itertools import combinations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dtir_mm.analysis.figures.style import COLOURS, DASHES, MARKERS, line_style


def ink(marker: str) -> np.ndarray:
    """What an unfilled black marker of tsne's size covers in print, (H, W) in [0, 1]."""
    figure = Figure((0.15, 0.15), dpi=300)
    canvas = FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.plot(0, 0, color='black', marker=marker, fillstyle='none', markersize=5,
              markeredgewidth=0.7)  # fmt: skip
    axis.set_axis_off()
    canvas.draw()
    return 1 - np.asarray(canvas.buffer_rgba())[..., :3].mean(-1) / 255


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the ink that two markers have in common."""
    return float(np.minimum(one, other).sum() / np.maximum(one, other).sum())


def test_ten_tasks_have_markers_of_different_shapes():
    assert len(MARKERS) >= 10
    inks = {marker: ink(marker) for marker in MARKERS}
    assert min(each.sum() for each in inks.values()) > 20
    alike = {pair: overlap(*map(inks.get, pair)) for pair in combinations(MARKERS, 2)}
    assert max(alike.values()) < 0.5, max(alike, key=alike.get)
    assert overlap(ink('8'), ink('o')) > 0.5, 'octagons look like circles'


def test_lines_do_not_repeat():
    number = len(COLOURS) * len(MARKERS) * len(DASHES)
    styles = {tuple(map(str, line_style(i).values())) for i in range(number)}
    assert len(styles) == number
