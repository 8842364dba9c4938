"""Figure 5: means of the tables of forgetting."""

import json

import pytest

from dtir_mm.analysis.figures.orders import order_figure
from dtir_mm.analysis.run_files import RunFiles, read_runs

PSNR = [  # after each stage, of a, b and c
    {'a': 30.0, 'b': 10.0, 'c': 5.0},
    {'a': 28.0, 'b': 20.0, 'c': 6.0},
    {'a': 27.0, 'b': 19.0, 'c': 14.0},
]


def write_run(folder, order: str, data: str = 'cumulative', ended: int = 3) -> None:
    (folder / '0' / 'vis_data').mkdir(parents=True)
    (folder / '0' / 'vis_data' / 'scalars.json').write_text('{"lr": 1, "content": 1, "iter": 1}\n')
    at = [3] if data == 'joint' else [1, 2, 3]
    rows = [{'iter': i, 'psnr': PSNR[i - 1] | {'d': 1.0}} for i in at[:ended]]
    for row in rows:
        row['psnr'] = {task: row['psnr'][task] for task in order}
    table = {'order': list(order), 'data': data, 'max_iters': 3, 'rows': rows}
    (folder / 'forgetting.json').write_text(json.dumps(table))


def test_lines_are_the_means_of_the_tasks_that_joined_and_of_all(tmp_path):
    write_run(tmp_path / 'asc', 'abc')
    write_run(tmp_path / 'desc', 'cba', ended=2)
    write_run(tmp_path / 'joint', 'abc', data='joint')
    figure = order_figure(read_runs([tmp_path])).figure
    of_joined, of_all = (
        {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}
        for axes in figure.axes
    )
    labels = ['asc: a first, c last', 'desc: c first, a last', 'joint: a first, c last']
    assert of_joined == {
        labels[0]: [(1, 30), (2, 24), (3, 20)],
        labels[1]: [(1, 5), (2, 13)],
        labels[2]: [(3, 20)],
    }
    assert of_all == {
        labels[0]: [(1, 15), (2, 18), (3, 20)],
        labels[1]: [(1, 15), (2, 18)],
        labels[2]: [(3, 20)],
    }
    assert [text.get_text() for text in figure.legends[0].texts] == labels
    assert len({line.get_marker() for line in figure.axes[0].lines}) == 3


def test_runs_on_other_tasks_are_not_compared(tmp_path):
    write_run(tmp_path / 'one', 'abc')
    write_run(tmp_path / 'two', 'abd')
    with pytest.raises(ValueError, match=r'a, b, c \(one.*\) and a, b, d \(two'):
        order_figure(read_runs([tmp_path]))


def test_runs_without_stages_are_an_error():
    with pytest.raises(ValueError, match=r'no run of incremental training .*forgetting\.json'):
        order_figure(RunFiles())
