"""Figure 1: corners of polygons, scales of axes, panels, and what cannot be drawn."""

import math

import numpy as np
import pytest

from dtir_mm.analysis.figures.radar import radar_figure
from dtir_mm.analysis.run_files import read_runs

# Input and two methods, on two images of each task.
PSNR = {'rainy': (20, 26, 32), 'noisy': (15, 30, 25), 'low_light': (8, 8, 8)}


def images(place: int, domain: str = 'source', tasks=tuple(PSNR), more: float = 0.0) -> list:
    return [
        (task, domain, PSNR[task][0] + shift, PSNR[task][place] + more + shift)
        for task in tasks
        for shift in (-1, 1)
    ]


def test_corners_lie_between_the_lowest_and_the_highest_value_of_their_axis(write_test):
    write_test('a', images(1) + [('clean', 'source', 100, 90)], method='scratch')
    drawn = radar_figure(read_runs([write_test('b', images(2))]))
    (axes,) = drawn.figure.axes
    assert axes.get_title() == 'PSNR in dB, source' and drawn.notes == []
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines) == ['input', 'scratch', 'ours']
    tasks = [label.get_text().split('\n')[0] for label in axes.get_xticklabels()]
    assert sorted(tasks) == sorted(PSNR)
    for place, line in enumerate(lines.values()):
        angles, radii = line.get_data()
        assert angles == pytest.approx([0, 2 * math.pi / 3, 4 * math.pi / 3, 0])
        shares = [np.interp(PSNR[task][place], (min(PSNR[task]), max(PSNR[task])), (0.25, 1))
                  for task in tasks]  # fmt: skip
        shares[tasks.index('low_light')] = 1  # all are equal
        assert radii == pytest.approx([*shares, shares[0]])
    rim = {label.get_text() for label in axes.get_xticklabels()}
    assert rim == {'rainy\n20.0 to 32.0', 'noisy\n15.0 to 30.0', 'low_light\n8.0 to 8.0'}
    (legend,) = drawn.figure.legends
    assert [text.get_text() for text in legend.texts] == list(lines)
    said = 'Each axis runs from its lowest value (inner ring) to its highest (outer ring).'
    assert legend.get_title().get_text() == said
    rings = axes.get_yticks()
    assert (rings[0], rings[-1]) == (0.25, 1), 'of the lowest and highest value'


def test_each_domain_with_enough_tasks_has_a_panel(write_test):
    both = images(1) + images(1, 'target', more=-2) + images(1, 'other', tasks=('rainy',))
    figure = radar_figure(read_runs([write_test('a', both)])).figure
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ['PSNR in dB, source', 'PSNR in dB, unseen (target)']


def test_a_method_without_one_of_the_tasks_is_named(write_test):
    write_test('a', images(1, tasks=('rainy', 'noisy')), method='scratch')
    drawn = radar_figure(read_runs([write_test('b', images(2))]))
    assert drawn.notes == ['scratch is left out of source: it was not tested on low_light']
    assert [line.get_label() for line in drawn.figure.axes[0].lines] == ['input', 'ours']


def test_two_tasks_are_too_few(write_test):
    folder = write_test('a', images(1, tasks=('rainy', 'noisy')))
    with pytest.raises(ValueError, match='at least 3 tested tasks: source has noisy, rainy'):
        radar_figure(read_runs([folder]))


def test_a_test_of_other_images_is_refused(write_test):
    write_test('a', images(1))
    folder = write_test('b', images(2)[:-1], method='scratch')
    with pytest.raises(ValueError, match=r'low_light .* on 2 and on 1 images.* one at a time'):
        radar_figure(read_runs([folder]))
