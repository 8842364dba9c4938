"""The page: from made-up results with known effects, and with nothing at all."""

import re

import numpy as np
import pytest
from evidence.arms import ARMS
from evidence.charts import Line, line_chart
from evidence.evaluation import OPEN, differences, figures, judge, lacking, read_results
from evidence.figures import all_figures, step_figures
from evidence.hypotheses import HYPOTHESES
from evidence.inference import CONTRADICTED, SUPPORTED
from evidence.interval_chart import Interval, interval_chart
from evidence.matrix import Cell, all_cells
from evidence.page import checked_opening, render
from evidence.results import file_of, images_of, read_result, write_result
from evidence.sections import unified
from evidence.status import status
from evidence.studies import TASKS, Arm, Gradients, Interpolation, Matching
from evidence.tables import on_plateau

from dtir_mm.matching.table4 import PAPER_TIMESTEPS

EFFECTS = {'naive': 1.0, 'scratch_long': 2.0, 'preprint': -1.0, 'practical': 0.05}
DOMAINS = ('source', 'target', 'composite')


def made_up(cell: Cell) -> dict:
    """The result of a cell: 20 dB, photographs and seeds of their own, and the study's effect."""
    study = cell.study
    result = {
        'cell': cell.key,
        'seed': cell.seed,
        'config_hash': study.name,
        'commit': 'abcdef0123',
        'device': 'a processor, one thread',
        'cpu_seconds': 36.0,
    }
    if isinstance(study, Matching):
        match = {'interval': [1, 9], 'status': 'identified'}
        result['matches'] = {
            task: {'t_mat': step, **match} for task, step in PAPER_TIMESTEPS.items()
        }
        return result
    if isinstance(study, Gradients):
        result['gradients'] = {
            'blocks': ['stem', 'middle', 'conv_out'],
            'norms': {'content': [1, 2, 4], 'importance': [0.5, 0.02, 0.08]},
            'cosines': {'content': 1, 'importance': -0.25},
            'updates': {'content': 1, 'importance': 0.094},
            'drift': [0.1, 0.2, 0.3],
            'drift_of_all': 0.15,
        }
        return result
    result['curve'] = [[50 * i, 0.1 - 0.001 * i, 0.11] for i in range(1, 31)]
    result['plateau'] = {'left': True, 'share': 0.7, 'falling': 0.02}
    if isinstance(study, Arm | Interpolation):
        tasks = study.tasks if cell.task == 'all' else (cell.task,)
        rng = np.random.default_rng(cell.seed)
        photographs = rng.normal(0, 0.02, 14) + 0.01 * cell.seed
        psnr = (20 + np.linspace(-3, 3, 14) + EFFECTS.get(study.name, 0) + photographs).round(4)
        rows = {'psnr': psnr.tolist(), 'ssim': [0.8] * 14}
        rows |= {f'input_{name}': [10.0] * 14 for name in rows}
        rows['photographs'] = [f'{i:02}' for i in range(14)]
        result['images'] = {task: {domain: rows for domain in DOMAINS} for task in tasks}
    return result


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('results')
    for cell in all_cells().values():
        write_result(file_of(cell, path), made_up(cell))
    return path


@pytest.fixture(scope='module')
def results(folder):
    return read_results(folder)


@pytest.fixture(scope='module')
def judged(results):
    return judge(results)


def test_known_effects_are_found(results, judged):
    verdicts = {key: found.verdict for key, found in judged.items()}
    assert verdicts['H1a'] == SUPPORTED
    assert judged['H1a'].pooled.mean == pytest.approx(1.0)
    assert judged['H1a'].tasks.keys() == {'rainy', 'low_light', 'noisy', 'hazy'}
    assert verdicts['H1b'] == CONTRADICTED
    assert judged['H1b'].pooled.mean == pytest.approx(-1.0)
    assert verdicts['H10a'] == SUPPORTED  # 0 against -1
    assert judged['H12'].pooled.mean == pytest.approx(-1.0)  # (0 - 0) - (1 - 0)
    assert verdicts['H5'] not in (SUPPORTED, CONTRADICTED)  # 0.05 dB is below 0.1
    assert all(lacking(results, hypothesis) == [] for hypothesis in HYPOTHESES)


def test_nothing_is_judged_before_its_last_run(results, judged):
    without = {key: value for key, value in results.items() if key != 'naive_rainy_s1'}
    early = judge(without)
    assert early['H1a'].verdict == OPEN
    assert early['H1a'].pooled.mean == pytest.approx(1.0)
    assert early['H10a'].verdict == judged['H10a'].verdict == SUPPORTED


def test_only_common_seeds_are_paired(results):
    without = {key: value for key, value in results.items() if key != 'naive_rainy_s1'}
    seeds, values = differences(without, {'naive': 1, 'scratch': -1}, 'rainy', 'target')
    assert seeds == (0, 2, 3, 4)
    assert values == pytest.approx(np.ones((4, 14)))
    hypothesis = HYPOTHESES[0]
    assert lacking(without, hypothesis) == ['naive_rainy_s1']


def test_a_unified_network_counts_for_each_task(results):
    assert figures(results, 'asc', 'hazy', 'source').keys() == {0, 1, 2}


def test_results_of_two_configs_are_refused(folder, tmp_path):
    cell = all_cells()['naive_rainy_s0']
    other = all_cells()['naive_rainy_s1']
    write_result(file_of(cell, tmp_path), made_up(cell))
    write_result(file_of(other, tmp_path), made_up(other) | {'config_hash': 'another'})
    with pytest.raises(ValueError, match='naive_rainy_s1 has the config hash another'):
        read_results(tmp_path)
    # They are one of each: neither is lost, and what is missing can still be seen.
    assert f'0 of {len(all_cells())} runs are done' in status(tmp_path)


def test_results_on_other_photographs_are_refused(tmp_path):
    for key in ('naive_rainy_s0', 'scratch_rainy_s0'):
        cell = all_cells()[key]
        result = made_up(cell)
        if cell.study.name == 'scratch':
            result['images']['rainy']['target']['photographs'] = 14 * ['other']
        write_result(file_of(cell, tmp_path), result)
    with pytest.raises(ValueError, match='other photographs of rainy'):
        read_results(tmp_path)


@pytest.mark.parametrize('content', ['{}', '[]', '{"cell": "naive_rainy_s1"}'])
def test_a_file_that_is_no_result_of_its_cell_is_named(tmp_path, content):
    cell = all_cells()['naive_rainy_s0']
    file_of(cell, tmp_path).write_text(content)
    with pytest.raises(ValueError, match=r'naive_rainy_s0\.json is not a result of'):
        read_result(cell, tmp_path)


def test_page_of_all_results(folder, tmp_path):
    files = render(tmp_path, folder)
    assert files == render(tmp_path, folder)
    page = files.pop(tmp_path / 'docs' / 'evidence.md')
    assert f'**{len(all_cells())} of {len(all_cells())} runs are finished.**' in page
    claim = 'Pre-training improves unseen data, at the same fine-tuning updates'
    assert f'| H1a | {claim} | unseen | +1.00 ' in page
    assert 'runs missing' not in page
    assert 'Not run yet' not in page
    assert 'nan' not in page
    assert 'commits abcdef0.' in page
    assert '| w/o L_reg | 36.49 / .936 | 20.' in page  # quoted beside ours
    assert '| recipe `released` | rainy | 15 % | - | .02 (.01 to .50) [9 %, -.25] | - |' in page
    assert '| recipe `paper`, rainy: L_reg | .50 | .01 | .02 |' in page
    assert '| naive + mixing, 40 % | 100, 100, 100 | 20.01 | 20.01 |' in page
    assert '| hazy | 47 | 47 (1 to 9), 47 (1 to 9), 47 (1 to 9) |' in page
    shown = set(re.findall(r'images/evidence/(\w+\.svg)', page))
    assert shown == {path.name for path in files}
    assert len(shown) == 11


def test_page_of_no_results_says_what_is_missing(tmp_path):
    (page,) = render(tmp_path, tmp_path / 'none').values()
    assert f'**0 of {len(all_cells())} runs are finished.**' in page
    assert 'Not run yet, with the number of runs: asc (3), ' in page
    assert '36 runs missing' in page


def test_opening_paragraph_must_agree_with_the_verdicts(judged):
    text = '<!-- rests on: H1a SUPPORTED, H1b CONTRADICTED -->\n\nPre-train if time is short.\n'
    assert checked_opening(text, judged) == 'Pre-train if time is short.\n'
    wrong = text.replace('H1b CONTRADICTED', 'H1b SUPPORTED')
    with pytest.raises(ValueError, match='rests on H1b being SUPPORTED, but it is CONTRADICTED'):
        checked_opening(wrong, judged)
    with pytest.raises(ValueError, match='must begin with'):
        checked_opening('No verdicts.', judged)


def test_a_result_comes_back_as_it_was_written(tmp_path):
    cell = all_cells()['naive_rainy_s0']
    assert read_result(cell, tmp_path) is None
    write_result(file_of(cell, tmp_path), made_up(cell))
    assert read_result(cell, tmp_path) == made_up(cell)


def test_figures_of_a_test_by_task_and_severity():
    row = {'task': 'rainy', 'psnr': 20.00004, 'ssim': 0.5, 'input_psnr': 10.0, 'input_ssim': 0.1}
    rows = [
        row | {'domain': domain, 'path': f'data/{name}.png'}
        for domain in ('source', 'target')
        for name in 'ab'
    ]
    found = images_of(rows)
    assert found['rainy'].keys() == {'source', 'target'}
    assert found['rainy']['target']['photographs'] == ['a', 'b']
    assert found['rainy']['target']['psnr'] == [20.0, 20.0]


def test_chart_places_points_linearly():
    text = line_chart('<a>', 'x', 'y', [Line('one', [(0, 0), (5, 1), (10, 2)])])
    points = re.search(r'<polyline points="([^"]+)"', text)[1].split()
    (x0, y0), (x1, y1), (x2, y2) = (map(float, point.split(',')) for point in points)
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1)
    assert y2 < y0  # up
    assert '&lt;a&gt;' in text


def test_chart_shows_single_runs_at_named_places():
    line = Line('one', [(0, 2.0), (1, 5.0)], dots=[(0, 1.0), (0, 3.0), (1, 5.0)])
    text = line_chart('title', 'x', 'y', [line], ['few', 'all'])
    (x0, y0), (x1, y1) = (
        map(float, point.split(','))
        for point in re.search(r'<polyline points="([^"]+)"', text)[1].split()
    )
    dots = [
        (float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', text)
    ]
    assert [x for x, _ in dots] == [x0, x0, x1]
    assert (dots[0][1] + dots[1][1]) / 2 == pytest.approx(y0, abs=0.1)
    assert dots[2][1] == y1
    for name, x in (('few', x0), ('all', x1)):
        assert re.search(rf'<text x="{x}" [^>]+>{name}<', text)


def test_interval_chart_places_values_linearly():
    rows = [
        Interval('a & b', 1.0, 0.0, 2.0, 'good', {'rainy': -2.0}),
        Interval('c', -1.0, -2.0, 0.0, 'bad', {'hazy': 0.5, 'rainy': 2.0}),
    ]
    text = interval_chart('differences', 'dB', rows)
    assert 'a &amp; b' in text
    lines = re.findall(
        r'<line x1="([\d.]+)" x2="([\d.]+)" y1="[\d.]+" y2="[\d.]+" stroke="#(228833|cc3311)"', text
    )
    (low, high, good), (other_low, other_high, bad) = [(float(a), float(b), c) for a, b, c in lines]
    assert (good, bad) == ('228833', 'cc3311')
    assert low == other_high  # both 0
    assert high - low == pytest.approx(low - other_low, abs=0.2)
    squares = [float(x) + 4 for x in re.findall(r'<rect x="([\d.]+)"', text)]
    assert squares == pytest.approx([(low + high) / 2, (other_low + other_high) / 2], abs=0.2)
    dots = [
        float(x)
        for x in re.findall(r'<circle cx="([\d.]+)" cy="[\d.]+" r="3.5" fill="[^"]+" ', text)
    ]
    assert dots == pytest.approx([other_low, low + 0.25 * (high - low), high], abs=0.2)


def test_runs_on_the_plateau_are_counted(results):
    assert on_plateau(results, 'naive', 'rainy') == ''
    key = 'naive_rainy_s1'
    stuck = results | {key: results[key] | {'plateau': {'left': False}}}
    assert on_plateau(stuck, 'naive', 'rainy') == ' (1 of 5 on the plateau)'


def test_shares_of_the_samples_by_order_of_the_tasks():
    first, last = (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, (1 / 4) / 4  # noise joins first, haze last
    lines = unified({}).splitlines()
    shares = {line.split(' | ')[0][2:]: line[:-2].split(' | ')[1:] for line in lines[-3:]}
    noisy, hazy = (TASKS.index(task) for task in ('noisy', 'hazy'))
    assert set(shares['tasks together']) == {'25 %'}
    ascending = shares['tasks in order of t_mat']
    assert ascending[noisy] == f'{100 * first:.0f} %' and ascending[hazy] == f'{100 * last:.0f} %'
    descending = shares['in the opposite order']
    assert descending[noisy] == ascending[hazy] and descending[hazy] == ascending[noisy]


def test_steps_are_compared_over_the_same_seeds(results):
    for figure in step_figures(results):
        assert figure.svg.count('<circle') == 3 * 7 * 2  # seeds, steps, methods


def test_figures_only_of_what_there_is(results):
    assert all_figures({}) == []
    naive = {key: value for key, value in results.items() if key.startswith('naive_t')}
    assert {figure.name.split('_')[0] for figure in all_figures(naive)} == {'steps'}
    assert ARMS['naive_t4'].tasks == ('rainy', 'low_light')
