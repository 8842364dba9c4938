"""Figure 5: means of the tables of forgetting."""

import json

import pytest
from mmengine.config import Config

from dtir_mm.analysis.figures.orders import order_figure
from dtir_mm.analysis.run_files import RunFiles, read_runs

PSNR = [  # after each stage, of a, b and c
    {'a': 30.0, 'b': 10.0, 'c': 5.0},
    {'a': 28.0, 'b': 20.0, 'c': 6.0},
    {'a': 27.0, 'b': 19.0, 'c': 14.0},
]


def write_run(
    folder, order: str, data: str = 'cumulative', ended: int = 3, inputs: str = '', **settings
) -> None:
    """A run of three updates.

    Args:
        inputs: what validation logged about the degraded images, as JSON.
        settings: of its config, which differ from other runs.
    """
    (folder / '0' / 'vis_data').mkdir(parents=True)
    scalars = '{"lr": 1, "content": 1, "iter": 1}\n' + inputs
    (folder / '0' / 'vis_data' / 'scalars.json').write_text(scalars)
    hook = {'type': 'IncrementalTaskSchedulerHook', 'order': list(order), 'data': data}
    config = {
        'default_hooks': {'incremental_tasks': hook}, 'train_cfg': {'max_iters': 3},
        'optim_wrapper': {'paramwise_cfg': {'custom_keys': {'backbone.adapters': {'lr_mult': 10}}}},
        'work_dir': str(folder), **settings,
    }  # fmt: skip
    Config(config).dump(folder / '0' / 'vis_data' / 'config.py')
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
    drawn = order_figure(read_runs([tmp_path]))
    figure = drawn.figure
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
    assert drawn.notes == [
        'joint differs from asc in more than default_hooks.incremental_tasks.order: '
        "default_hooks.incremental_tasks.data 'cumulative' -> 'joint'"
    ]


def test_runs_that_differ_in_more_than_the_order_are_named(tmp_path):
    write_run(tmp_path / 'asc', 'abc')
    write_run(tmp_path / 'seed', 'bac', randomness={'seed': 1})
    write_run(tmp_path / 'short', 'cba', train_cfg={'max_iters': 6}, precision='bf16')
    assert order_figure(read_runs([tmp_path])).notes == [
        'short differs from asc in more than default_hooks.incremental_tasks.order: '
        "train_cfg.max_iters 3 -> 6, precision not set -> 'bf16'"
    ]


def test_a_config_that_cannot_be_read_is_named(tmp_path):
    write_run(tmp_path / 'asc', 'abc')
    write_run(tmp_path / 'desc', 'cba')
    (tmp_path / 'desc' / '0' / 'vis_data' / 'config.py').unlink()
    assert order_figure(read_runs([tmp_path])).notes == [
        'vis_data/config.py of desc is not compared: it is missing'
    ]


def test_runs_that_were_validated_on_other_images_are_not_compared(tmp_path):
    def inputs(domain: str, of_a: float, of_b: float) -> str:
        at_first, at_last = (
            {f'a/{domain}/input_psnr': of_a, f'b/{domain}/input_psnr': of_b, 'step': step}
            for step in (1, 3)
        )
        return f'{json.dumps(at_first)}\n{json.dumps(at_last)}\n'

    write_run(tmp_path / 'one', 'abc', inputs=inputs('source', 20.0, 15.0))
    write_run(tmp_path / 'two', 'cba', inputs=inputs('source', 20.0, 15.0004))
    assert order_figure(read_runs([tmp_path])).notes == []
    write_run(tmp_path / 'zoo', 'cba', inputs=inputs('target', 20.0, 15.1))
    with pytest.raises(ValueError, match='^zoo and one validated b on other images, or by another'):
        order_figure(read_runs([tmp_path]))


def test_runs_on_other_tasks_are_not_compared(tmp_path):
    write_run(tmp_path / 'one', 'abc')
    write_run(tmp_path / 'two', 'abd')
    with pytest.raises(ValueError, match=r'a, b, c \(one.*\) and a, b, d \(two'):
        order_figure(read_runs([tmp_path]))


def test_runs_without_stages_are_an_error():
    with pytest.raises(ValueError, match=r'no run of incremental training .*forgetting\.json'):
        order_figure(RunFiles())
