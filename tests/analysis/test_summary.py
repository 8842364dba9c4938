"""Rows, summaries and tables that commands write."""

import csv
import json
import subprocess

import pytest

from dtir_mm.analysis.summary import (
    format_table,
    git_commit,
    mean_rows,
    verdict,
    write_rows_csv,
    write_summary,
)


def row(task, domain, path, psnr, lpips=0.25):
    return {
        'task': task,
        'domain': domain,
        'path': path,
        't': 12,
        'psnr': psnr,
        'ssim': psnr / 50,
        'lpips': lpips,
        'input_psnr': psnr - 10.0,
        'input_ssim': psnr / 100,
        'input_lpips': None if lpips is None else 2 * lpips,
    }


ROWS = [
    row('hazy', 'source', 'a,b.png', 30.0),
    row('hazy', 'source', 'c.png', 20.0),
    row('noisy', 'source', 'ü.png', 28.0),
    row('noisy', 'target', 'e.png', 24.0),
]


def test_csv_has_one_line_per_image(tmp_path):
    path = tmp_path / 'new' / 'rows.csv'
    write_rows_csv([*ROWS, row('noisy', 'target', 'f.png', 24.0, lpips=None)], path)
    with path.open(encoding='utf-8', newline='') as file:
        lines = list(csv.DictReader(file))
    assert [line['path'] for line in lines] == ['a,b.png', 'c.png', 'ü.png', 'e.png', 'f.png']
    assert float(lines[0]['psnr']) == 30 and lines[0]['t'] == '12'
    assert float(lines[0]['input_lpips']) == 0.5 and lines[4]['lpips'] == ''
    assert list(lines[0]) == list(ROWS[0]), 'the columns have another order'
    assert [p.name for p in path.parent.iterdir()] == ['rows.csv']


def test_mean_rows_of_a_method_and_of_the_input():
    ours = mean_rows(ROWS, 'ours')
    assert ours[0] == {
        'task': 'hazy',
        'method': 'ours',
        'domain': 'source',
        'psnr': 25.0,
        'ssim': 0.5,
        'lpips': 0.25,
        'n': 2,
    }
    assert [(r['task'], r['domain'], r['n']) for r in ours[1:]] == [
        ('noisy', 'source', 1),
        ('noisy', 'target', 1),
    ]
    before = mean_rows(ROWS, 'input')
    assert (before[0]['psnr'], before[0]['ssim'], before[0]['lpips']) == (15.0, 0.25, 0.5)
    assert before[0]['method'] == 'input'
    unmeasured = mean_rows([row('hazy', 'source', 'a.png', 30.0, lpips=None)], 'ours')
    assert unmeasured[0]['lpips'] is None


def test_the_table_groups_methods_and_averages_over_tasks():
    table = format_table(mean_rows(ROWS, 'input') + mean_rows(ROWS, 'ours'))
    assert table == '\n'.join(
        [
            'task     domain  method   PSNR    SSIM   LPIPS  images',
            '------------------------------------------------------',
            'hazy     source  input   15.00  0.2500  0.5000       2',
            '                 ours    25.00  0.5000  0.2500       2',
            '------------------------------------------------------',
            'noisy    source  input   18.00  0.2800  0.5000       1',
            '                 ours    28.00  0.5600  0.2500       1',
            '------------------------------------------------------',
            'noisy    target  input   14.00  0.2400  0.5000       1',
            '                 ours    24.00  0.4800  0.2500       1',
            '------------------------------------------------------',
            'average  source  input   16.50  0.2650  0.5000       3',
            '                 ours    26.50  0.5300  0.2500       3',
        ]
    )


def test_a_method_that_lacks_a_task_gets_no_average():
    rows = mean_rows(ROWS[:3], 'ours') + mean_rows(ROWS[:2], 'scratch')
    lines = format_table(rows).splitlines()
    averages = [line for line in lines if line.startswith('average')]
    assert len(averages) == 1 and 'ours' in averages[0]
    assert lines[-1] == averages[0]


def test_tables_stay_within_100_columns():
    rows = [row('inpainting', 'target', 'a.png', 30.0, lpips=None)]
    table = format_table(mean_rows(rows, 'ours_without_the_orthogonality_term'))
    assert max(map(len, table.splitlines())) <= 100
    assert len(set(map(len, table.splitlines()))) == 1
    assert table.splitlines()[-1].split()[-3:] == ['0.6000', '-', '1']
    assert format_table([]).startswith('task')


def psnr_rows(method, figures):
    """Rows of a summary from ``{(task, domain): psnr}``."""
    return [
        {'task': task, 'domain': domain, 'method': method, 'psnr': psnr}
        for (task, domain), psnr in figures.items()
    ]


_FIRST = 'Compared with training from scratch (same updates), the PSNR of ours is'
_EQUAL = _FIRST.replace('same updates', 'updates of both stages')
SCRATCH = {
    ('hazy', 'source'): 20.0,
    ('hazy', 'target'): 16.0,
    ('low_light', 'source'): 24.0,
    ('low_light', 'target'): 17.0,
    ('rainy', 'source'): 30.0,
    ('rainy', 'target'): 16.0,
}


@pytest.mark.parametrize(
    ('gains', 'said'),
    [
        (
            (0.5, 0.4, -1.8, 0.6, 2.0, 0.1),
            'source and target for 2 of 3 tasks, and more than 0.3 dB lower on '
            'low_light/source (-1.80).',
        ),
        (
            (0.5, -0.25, 0.1, 0.6, 0.0, 0.1),
            'source and target for 1 of 3 tasks, and nowhere more than 0.3 dB lower.',
        ),
        (
            (-0.5, -0.31, 0.1, 0.6, 0.2, -4.0),
            'source and target for 1 of 3 tasks, and more than 0.3 dB lower on '
            'hazy/source (-0.50), hazy/target (-0.31), rainy/target (-4.00).',
        ),
    ],
)
def test_the_verdict_counts_tasks_and_names_what_is_behind(gains, said):
    ours = {key: psnr + gain for (key, psnr), gain in zip(SCRATCH.items(), gains, strict=True)}
    rows = psnr_rows('scratch', SCRATCH) + psnr_rows('ours', ours)
    assert verdict(rows) == f'{_FIRST} higher on {said}'
    assert verdict(rows[::-1]).splitlines()[0].startswith(_FIRST)


def test_the_verdict_compares_only_shared_tasks():
    ours = {('hazy', 'source'): 21.0, ('noisy', 'source'): 9.0}
    rows = psnr_rows('ours', ours) + psnr_rows('scratch', SCRATCH) + psnr_rows('input', SCRATCH)
    assert verdict(rows) == (
        f'{_FIRST} higher on source for 1 of 1 tasks, and nowhere more than 0.3 dB lower.'
    )


def test_the_verdict_has_a_line_for_each_kind_of_training_from_scratch():
    rows = psnr_rows('scratch_equal', {('hazy', 'target'): 16.0})
    rows += psnr_rows('ours', {('hazy', 'target'): 15.0})
    behind = 'for 0 of 1 tasks, and more than 0.3 dB lower on hazy/target (-1.00).'
    equal = f'{_EQUAL} higher on target {behind}'
    assert verdict(rows) == equal
    rows += psnr_rows('scratch', {('hazy', 'target'): 14.0})
    first, second = verdict(rows).splitlines()
    assert first.startswith(f'{_FIRST} higher on target for 1 of 1')
    assert second == equal


def test_there_is_no_verdict_without_both_methods():
    assert verdict(psnr_rows('scratch', SCRATCH)) == verdict(psnr_rows('ours', SCRATCH)) == ''
    assert verdict(psnr_rows('ours', SCRATCH) + psnr_rows('input', SCRATCH)) == ''


def summary_arguments():
    return {
        'rows': mean_rows(ROWS, 'ours'),
        'timesteps': {'noisy': {'t_mat': 12, 'interval': [10, 14], 'status': 'ok'}},
        'protocol': 'rgb',
        'precision': 'fp32',
        'seed': 3,
        'commit': None,
        'config_hash': 'abc',
        'images': ['strip.png'],
        'ema_decay': 0.999,
        'config': {'model': {'timesteps': 'paper'}, 'clip': float('inf')},
    }


def test_a_summary_can_be_read_back(tmp_path):
    arguments = summary_arguments()
    write_summary(tmp_path / 'summary.json', **arguments)
    assert json.loads((tmp_path / 'summary.json').read_text()) == arguments


def test_non_finite_metrics_leave_the_old_summary(tmp_path):
    path = tmp_path / 'summary.json'
    write_summary(path, **summary_arguments())
    old = path.read_text()
    arguments = summary_arguments()
    arguments['rows'][0]['psnr'] = float('inf')
    with pytest.raises(ValueError, match=r'summary\.json: a figure .* not finite'):
        write_summary(path, **arguments)
    assert path.read_text() == old and len(list(tmp_path.iterdir())) == 1


def test_git_commit_names_the_commit_and_marks_changes(tmp_path):
    def git(*arguments):
        identity = ['-c', 'user.name=a', '-c', 'user.email=a@example.org']
        command = ['git', '-C', str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git_commit(tmp_path) is None
    git('init', '-q')
    (tmp_path / 'file').write_text('one')
    git('add', 'file')
    assert git_commit(tmp_path) is None
    git('commit', '-q', '-m', 'first')
    git('tag', '-a', '-m', 'a tag is not what is asked for', 'v1')
    commit = git('rev-parse', 'HEAD')
    assert git_commit(tmp_path) == commit
    (tmp_path / 'untracked').mkdir()
    (tmp_path / 'untracked' / 'module.py').write_text('')
    assert git_commit(tmp_path) == commit
    assert git_commit(tmp_path / 'untracked') is None
    (tmp_path / 'file').write_text('two')
    assert git_commit(tmp_path) == f'{commit}-dirty'
    git('commit', '-q', '-a', '-m', 'second')
    (tmp_path / 'results').mkdir()
    (tmp_path / 'results' / 'a.json').write_text('1')
    git('add', 'results')
    git('commit', '-q', '-m', 'third')
    commit = git('rev-parse', 'HEAD')
    (tmp_path / 'results' / 'a.json').write_text('2')
    assert git_commit(tmp_path) == f'{commit}-dirty'
    assert git_commit(tmp_path / 'results', 'results') == commit
    (tmp_path / 'file').write_text('three')
    assert git_commit(tmp_path, 'results') == f'{commit}-dirty'


def test_git_commit_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert git_commit() is None
