"""tools/summarize.py: the results of several tests in one table."""

import hashlib
import json
from pathlib import Path

import pytest

from dtir_mm.analysis.summary import write_summary


def row(task, method, psnr, domain='source'):
    scores = {'psnr': psnr, 'ssim': 0.5, 'lpips': None, 'n': 2}
    return {'task': task, 'method': method, 'domain': domain, **scores}


def write(folder, rows, precision='fp32', seed=3):
    name, images = folder.name, [folder / f'{folder.name}.png']
    write_summary(folder / 'summary.json', rows, {}, 'rgb', precision, seed, None, name * 2, images)
    return folder


@pytest.fixture
def tests(tmp_path):
    """Output folders of tests: ours and scratch on noise, ours on haze."""
    return [
        write(tmp_path / 'b', [row('noisy', 'input', 20.0), row('noisy', 'ours', 30.0)]),
        write(tmp_path / 'a', [row('noisy', 'input', 20.0), row('noisy', 'scratch', 29.0)], 'bf16'),
        write(tmp_path / 'c', [row('hazy', 'ours', 25.0), row('hazy', 'input', 15.0)], seed=4),
    ]


def test_rows_are_sorted_without_duplicate_inputs(run_tool, tests, tmp_path):
    others = [
        write(tmp_path / 'd', [row('noisy', 'scratch_equal', 30.5)]),
        write(tmp_path / 'e', [row('noisy', 'another', 31.0)]),
    ]
    notes = ('--note', 'a note of mine', '--note', 'another')
    printed = run_tool('summarize', tmp_path / 'all.json', *others, *tests, *notes)
    summary = json.loads((tmp_path / 'all.json').read_text())
    found = [(r['task'], r['method'], r['psnr']) for r in summary['rows']]
    assert found == [
        ('hazy', 'input', 15.0),
        ('hazy', 'ours', 25.0),
        ('noisy', 'input', 20.0),
        ('noisy', 'scratch', 29.0),
        ('noisy', 'scratch_equal', 30.5),
        ('noisy', 'ours', 30.0),
        ('noisy', 'another', 31.0),
    ]
    cells = [line.split() for line in printed.splitlines()]
    for expected in (
        ['hazy', 'source', 'input', '15.00', '0.5000', '-', '2'],
        ['scratch', '29.00', '0.5000', '-', '2'],
        ['average', 'source', 'input', '17.50', '0.5000', '-', '4'],
        ['ours', '27.50', '0.5000', '-', '4'],
    ):
        assert expected in cells
    lines = printed.splitlines()
    assert lines[lines.index('a note of mine') + 1] == 'another'
    assert lines[:2] == [
        'Compared with training from scratch (same updates), the PSNR of ours is higher '
        'on source for 1 of 1 tasks, and nowhere more than 0.3 dB lower.',
        'Compared with training from scratch (updates of both stages), the PSNR of ours is '
        'higher on source for 0 of 1 tasks, and more than 0.3 dB lower on noisy/source (-0.50).',
    ]
    assert lines[2].split() == ['task', 'domain', 'method', 'PSNR', 'SSIM', 'LPIPS', 'images']
    assert str(tmp_path / 'all.json') in printed


def test_metadata_is_joined(run_tool, tests, tmp_path):
    printed = run_tool('summarize', tmp_path / 'all.json', *tests)
    summary = json.loads((tmp_path / 'all.json').read_text())
    assert (summary['precision'], summary['seed']) == ('bf16 fp32', 3)
    assert summary['config_hash'] == hashlib.sha256(b'bb aa cc').hexdigest()[:12]
    assert summary['images'] == [str(tmp_path / name / f'{name}.png') for name in 'bac']
    assert summary['timesteps'] == {}
    assert all(f'  {folder}' in printed.splitlines() for folder in tests)


def test_matched_steps_are_shown_and_saved(run_tool, tests, tmp_path):
    match = {'t_mat': 9, 'interval': [8, 12], 'status': 'identified', 'curve': [[1, 0.5]]}
    steps = tmp_path / 'steps.json'
    steps.write_text(json.dumps({'tasks': {'noisy': match}}))
    printed = run_tool('summarize', tmp_path / 'all.json', *tests, '--timesteps', steps)
    summary = json.loads((tmp_path / 'all.json').read_text())
    expected = {'t_mat': 9, 'interval': [8, 12], 'status': 'identified'}
    assert summary['timesteps'] == {'noisy': expected}
    assert 'noisy: t_mat = 9 (90 % interval 8..12), identified' in printed.splitlines()


def test_results_of_two_real_tests_are_joined(toy, run_tool, tmp_path):
    for method, t in (('scratch', 2), ('ours', 30)):
        options = ('--method', method, '--images', 1, '--cfg-options')
        run_tool(
            'test', toy.config, toy.finetune, '--work-dir', tmp_path / method, *options,
            f'model.timesteps=fixed:{t}',
        )  # fmt: skip
    parts = [json.loads((tmp_path / m / 'summary.json').read_text()) for m in ('scratch', 'ours')]
    run_tool('summarize', tmp_path / 'all.json', tmp_path / 'ours', tmp_path / 'scratch')
    summary = json.loads((tmp_path / 'all.json').read_text())
    expected = {(r['method'], r['domain']): r for part in parts for r in part['rows']}
    assert {(r['method'], r['domain']): r for r in summary['rows']} == expected
    assert len(summary['rows']) == 6 == len(expected)
    figures = {expected[method, 'source']['psnr'] for method in ('input', 'scratch', 'ours')}
    assert len(figures) == 3, 'the methods do not differ'
    assert len(summary['images']) == 4
    assert all(Path(image).is_file() for image in summary['images'])


def test_missing_results_are_reported(failure_of, tests, tmp_path):
    message = failure_of('summarize', tmp_path / 'all.json', *tests, tmp_path / 'nowhere')
    assert str(tmp_path / 'nowhere') in message
    message = failure_of(
        'summarize', tmp_path / 'all.json', *tests, '--timesteps', tmp_path / 'no.json'
    )
    assert str(tmp_path / 'no.json') in message
    assert not (tmp_path / 'all.json').exists()


def test_conflicting_rows_are_rejected(failure_of, tests, tmp_path):
    twin = write(tmp_path / 'd', [row('noisy', 'ours', 31.0)])
    message = failure_of('summarize', tmp_path / 'all.json', *tests, twin)
    assert 'noisy / source / ours' in message and '--method' in message
    assert not (tmp_path / 'all.json').exists()
