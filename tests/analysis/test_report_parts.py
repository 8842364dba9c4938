"""Parts of a report: intervals, the best method, names of methods, axes, and which images fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from scipy import stats

from dtir_mm.analysis.comparison_strip import comparison_strip
from dtir_mm.analysis.report import page
from dtir_mm.analysis.report.charts import BOTTOM, LEFT, RIGHT, TOP, line_chart, training_charts
from dtir_mm.analysis.report.examples import read_examples
from dtir_mm.analysis.report.methods import named_methods, summary_rows
from dtir_mm.analysis.report.tables import bootstrap_interval, summary_tables
from dtir_mm.analysis.run_files import Evaluation, Training
from dtir_mm.analysis.run_logs import RunLog
from dtir_mm.analysis.summary import mean_rows, write_rows_csv
from dtir_mm.image_io import save_image

QUICK = 'configs/mini/quick_dtir-unet-w16_scratch_noisy_b8-1000.py'


def evaluation(folder, method, gain, domains=('source',), images=3, n=6) -> Evaluation:
    """A test of rain with ``n`` images a domain, and comparison images of the first ones."""
    rows = [
        {
            'task': 'rainy', 'domain': domain, 'path': f'photos/{i}.png', 't': 8,
            'psnr': 20.0 + i + gain, 'ssim': 0.5, 'lpips': 0.5 - gain / 10,
            'input_psnr': 20.0 + i, 'input_ssim': 0.4, 'input_lpips': 0.9,
        }
        for domain in domains
        for i in range(n)
    ]  # fmt: skip
    names = [f'rainy_{domain}_{i}.png' for domain in domains for i in range(images)]
    for name in names:
        noise = np.random.default_rng(0).integers(0, 256, (40, 300, 3), dtype=np.uint8)
        strip = comparison_strip(noise, {method: noise // 2}, noise)
        save_image(folder / method / 'images' / name, strip)
    summary = {'images': [f'moved/images/{name}' for name in names]}
    return Evaluation(method, folder / method, summary, {method: rows}, RunLog({}, {}, ''))


def test_the_interval_of_a_mean_is_close_to_that_of_the_bootstrap_of_scipy():
    values = np.random.default_rng(0).normal(30, 4, 40)
    expected = stats.bootstrap((values,), np.mean, method='percentile', rng=1).confidence_interval
    assert bootstrap_interval(list(values)) == pytest.approx(expected, abs=0.2)


def test_the_best_method_is_marked_and_methods_are_in_order(tmp_path):
    tests = [evaluation(tmp_path, name, gain) for name, gain in (('ours', 3), ('scratch', 1))]
    methods = named_methods(tests)
    psnr, ssim, lpips = summary_tables(summary_rows(methods), methods)
    assert psnr.methods == ['input', 'scratch', 'ours']
    ((task, domain, n, cells),) = psnr.lines
    assert (task, domain, n) == ('rainy', 'source', 6)
    assert [(cell.value, cell.best) for cell in cells] == [
        (22.5, False), (23.5, False), (25.5, True),
    ]  # fmt: skip
    low, high = bootstrap_interval([20.0 + i for i in range(6)])
    assert 20 < low < 22.5 < high < 25
    for cell, gain in zip(cells, (0, 1, 3), strict=True):
        assert cell.interval == pytest.approx((low + gain, high + gain))
    assert [cell.best for cell in lpips.lines[0][3]] == [False, False, True]
    assert [cell.value for cell in lpips.lines[0][3]] == pytest.approx([0.9, 0.4, 0.2])


def test_two_tests_of_one_method_have_different_names(tmp_path):
    first, second = (evaluation(tmp_path / name, 'ours', 1) for name in 'ab')
    other = evaluation(tmp_path, 'scratch', 0)
    second = Evaluation('second', second.folder, second.summary, second.rows, second.log)
    labels = [method.label for method in named_methods([first, second, other])]
    assert labels == ['scratch', 'ours (ours)', 'ours (second)']


def test_images_that_do_not_fit_leave_the_first_ones_of_each_domain(tmp_path):
    tests = [
        evaluation(tmp_path, name, gain, ('source', 'target'))
        for name, gain in (('ours', 3), ('scratch', 1))
    ]
    methods = named_methods(tests)
    everything = read_examples(methods)
    assert everything.within(10**9) == everything
    assert everything.notes == []
    (example, *_) = shown = everything.by_task['rainy']
    assert [panel.label for panel in example.panels] == ['input', 'scratch', 'ours', 'ground truth']
    assert [panel.psnr for panel in example.panels] == [20.0, 21.0, 23.0, None]
    assert (example.before.label, example.after.label) == ('input', 'ours')
    budget = sum(example.weight for example in shown) * 5 // 6
    kept = everything.within(budget - example.weight // 2)
    assert [(e.domain, e.name) for e in kept.by_task['rainy']] == [
        ('source', '0.png'), ('source', '1.png'), ('target', '0.png'), ('target', '1.png'),
    ]  # fmt: skip
    assert kept.notes == ['2 of 6 examples are left out, to keep the page below 15 MB.']


def test_a_page_is_not_larger_than_its_limit(tmp_path, monkeypatch):
    test = evaluation(tmp_path, 'ours', 1, images=6)
    write_rows_csv(test.rows['ours'], test.folder / 'images.csv')
    means = mean_rows(test.rows['ours'], 'ours')
    summary = test.summary | {'rows': means, 'protocol': 'rgb'}
    (test.folder / 'summary.json').write_text(json.dumps(summary))

    def shown(limit: int) -> int:
        monkeypatch.setattr(page, 'MAX_BYTES', limit)
        file = page.write_report([tmp_path], tmp_path / 'report', overwrite=True)
        assert file.stat().st_size <= limit
        return file.read_text(encoding='utf-8').count('class="example"')

    assert shown(10**7) == 6
    largest = (tmp_path / 'report' / 'index.html').stat().st_size
    assert shown(largest) == 6
    assert shown(largest - 1) == 5
    with pytest.raises(ValueError, match='larger than 15 MB: name fewer folders'):
        shown(1000)


def test_missing_and_damaged_comparison_images_are_named(tmp_path):
    methods = named_methods([evaluation(tmp_path, 'ours', 1, images=2)])
    folder = tmp_path / 'ours' / 'images'
    (folder / 'rainy_source_0.png').unlink()
    (note,) = read_examples(methods).notes
    assert note == 'Comparison images that are missing: ours: rainy_source_0.png'
    save_image(folder / 'rainy_source_1.png', np.zeros((20, 300, 3), np.uint8))
    with pytest.raises(ValueError, match=r'rainy_source_1\.png is not a comparison image'):
        read_examples(methods)


def test_images_of_one_name_in_two_folders_have_no_metrics(tmp_path):
    """Which of them a comparison image shows is not known."""
    test = evaluation(tmp_path, 'ours', 1, images=1)
    test.rows['ours'][1]['path'] = 'others/0.png'
    (example,) = read_examples(named_methods([test])).by_task['rainy']
    assert [panel.psnr for panel in example.panels] == [None, None, None]


def test_positions_of_a_chart():
    lines = {'a': [(0, 1.0), (100, 3.0)], 'b': [(50, 2.0)]}
    chart = line_chart('title', 'updates', lines, {'a': 0, 'b': 1}, 0, (25, 75), 50)
    first, last = chart.lines[0].points
    assert (first.x, last.x) == (LEFT, RIGHT)
    (middle,) = chart.lines[1].points
    assert (middle.x, middle.y) == pytest.approx(((first.x + last.x) / 2, (first.y + last.y) / 2))
    assert TOP < last.y < first.y < BOTTOM, 'larger values are higher'
    assert chart.mark == middle.x and sum(chart.band) == pytest.approx(2 * middle.x)
    assert [label for _, label in chart.x_ticks] == ['0', '20', '40', '60', '80', '100']
    assert not chart.logarithmic


def test_a_wide_range_of_positive_values_is_logarithmic():
    chart = line_chart('title', 'updates', {'a': [(1, 0.1), (2, 1.0), (3, 10.0)]}, {'a': 0}, 0)
    assert chart.logarithmic
    ys = [point.y for point in chart.lines[0].points]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2])
    assert ['0.1', '1', '10'] == [label for _, label in chart.y_ticks if '3' not in label]


def test_a_single_point_has_its_numbers_at_the_axes():
    chart = line_chart('title', 'updates', {'a': [(1, 0.123456)]}, {'a': 0}, 0)
    assert [label for _, label in chart.x_ticks] == ['0', '1']
    assert [label for _, label in chart.y_ticks] == ['0.1235']


def test_groups_of_curves_are_called_what_they_are():
    """A fine-tuning that has not been validated yet is no pre-training."""
    log = RunLog({}, {}, '')
    series = {
        'validated': {'content': [(1, 0.5)], 'rainy/source/psnr': [(1, 20.0)]},
        'pretrain': {'noise': [(1, 0.5)]},
        'finetune': {'content': [(1, 0.5)], 'noise': [(1, 0.5)]},
        'begun': {},
    }
    trainings = [Training(name, each, None, log, 0) for name, each in series.items()]
    groups = {group.title: list(group.styles) for group in training_charts(trainings)}
    assert groups == {
        'rainy': ['validated'],
        'Pre-training': ['pretrain'],
        'Not validated': ['finetune', 'begun'],
    }


def test_runs_that_have_not_ended_are_named():
    log = RunLog({}, {}, "train_cfg = dict(\n    max_iters=1000, type='IterationTrainLoop')\n")
    losses = {'content': [(50, 0.5), (100, 0.4)]}
    trainings = [
        Training('killed', losses, None, log, 0),
        Training('stopped', losses, None, log, 250),
        Training('ended', losses, None, log, 1000),
        Training('of unknown length', losses, None, RunLog({}, {}, ''), 100),
        Training('empty', {}, None, log, 0),
    ]
    (group,) = training_charts(trainings)
    assert group.notes == [
        'killed has done 100 of 1000 updates. It has no checkpoint.',
        'stopped has done 250 of 1000 updates.',
        'empty recorded no values.',
    ]


def test_the_planned_updates_are_those_of_the_config():
    text = Config.fromfile(Path(__file__).resolve().parents[2] / QUICK).pretty_text
    assert RunLog({}, {}, text).planned_updates == 1000
    assert RunLog({}, {}, 'train_cfg = None\n').planned_updates is None


def test_the_best_is_bold_which_may_be_the_input_and_as_printed(tmp_path):
    tests = [evaluation(tmp_path, name, 1, images=1) for name in ('a', 'b', 'c')]
    for test, psnr in zip(tests, (17.004, 17.0, 16.0), strict=True):
        for row in test.rows[test.method]:
            row |= {'psnr': psnr, 'ssim': 0.5, 'input_psnr': 16.5, 'input_ssim': 0.6}
    methods = named_methods(tests)
    tables = {t.metric: t for t in summary_tables(summary_rows(methods), methods)}

    def bold(metric):
        *_, cells = tables[metric].lines[0]
        return [name for name, c in zip(tables[metric].methods, cells, strict=True) if c.best]

    assert bold('psnr') == ['a', 'b']
    assert bold('ssim') == ['input']
