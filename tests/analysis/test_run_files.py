"""Reading what runs wrote: curves of resumed runs, forgetting, logs, and damaged files."""

import json
from pathlib import Path

import pytest

from dtir_mm.analysis.run_files import read_forgetting, read_image_rows, read_runs, read_series
from dtir_mm.analysis.run_logs import read_logs
from dtir_mm.analysis.summary import write_rows_csv
from dtir_mm.evaluation.restoration_metric import FIGURES
from dtir_mm.matching.timestep_match import TimestepMatch, describe_match
from dtir_mm.matching.timesteps_file import write_timesteps

LOG = """\
2026/01/02 10:00:00 - mmengine - INFO -
------------------------------------------------------------
System environment:
    sys.platform: linux
    PyTorch: {version}
    PyTorch compiling details: PyTorch built with:
  - GCC 13.3

Runtime environment:
    seed: 3
------------------------------------------------------------

2026/01/02 10:00:01 - mmengine - WARNING - first line
  second line
2026/01/02 10:00:02 - mmengine - INFO - Iter(train) [1/2]
2026/01/02 10:00:03 - mmengine - ERROR - worse
"""


def session(
    folder: Path, stamp: str, *records: dict, end: str = '\n', version: str = '2.6'
) -> None:
    """A session of a run, as mmengine writes it."""
    (folder / stamp / 'vis_data').mkdir(parents=True)
    lines = '\n'.join(json.dumps(record) for record in records)
    (folder / stamp / 'vis_data' / 'scalars.json').write_text(lines + end)
    (folder / stamp / 'vis_data' / 'config.py').write_text(f'stamp = {stamp!r}\n')
    (folder / stamp / f'{stamp}.log').write_text(LOG.format(version=version))


def at(iteration: int, content: float) -> dict:
    return {'lr': 0.1, 'content': content, 'iter': iteration, 'step': iteration}


def test_a_resumed_run_replaces_what_it_repeats(tmp_path):
    session(
        tmp_path, '20260101_000000', at(2, 0.5), at(4, 0.4), at(6, 9.0), {'psnr': 30, 'step': 0}
    )
    session(tmp_path, '20260102_000000', at(5, 0.3), at(7, 0.2), {'psnr': 31, 'step': 0})
    series = read_series(tmp_path)
    assert series['content'] == [(2, 0.5), (4, 0.4), (5, 0.3), (7, 0.2)]
    assert series['psnr'] == [(7, 31)]


def test_a_run_may_be_resumed_in_one_file(tmp_path):
    again = [at(i, 0.1 * i) for i in (2, 4, 6, 3, 5)]
    validated = {'psnr': 31, 'iter': 4, 'step': 4}
    session(tmp_path, '20260101_000000', *again[:2], validated, *again[2:])
    series = read_series(tmp_path)
    assert [iteration for iteration, _ in series['content']] == [2, 3, 5]
    assert 'psnr' not in series


def test_validations_are_at_the_update_before_them(tmp_path):
    records = [
        {'psnr': 20, 'step': 0},
        at(3, 0.5),
        {'psnr': 21, 'step': 0},
        {'psnr': 22, 'step': 4},
    ]
    session(tmp_path, '20260101_000000', *records)
    assert read_series(tmp_path)['psnr'] == [(0, 20), (3, 21), (4, 22)]


def test_an_unfinished_line_and_what_is_no_number_are_left_out(tmp_path):
    records = [at(1, 0.5) | {'memory': None, 'nan': float('nan'), 'text': 'x'}, at(2, 0.4)]
    session(tmp_path, '20260101_000000', *records, end='\n{"content": 0.')
    assert read_series(tmp_path) == {'content': [(1, 0.5), (2, 0.4)], 'lr': [(1, 0.1), (2, 0.1)]}


def test_a_damaged_line_is_named(tmp_path):
    session(tmp_path, '20260101_000000', at(1, 0.5), end='\n{"content\n')
    with pytest.raises(ValueError, match=r'line 2 of .*scalars\.json is not JSON'):
        read_runs([tmp_path])


def test_logs_give_messages_environment_and_the_last_config(tmp_path):
    session(tmp_path, '20260101_000000', at(1, 0.5), version='2.5')
    session(tmp_path, '20260102_000000', at(2, 0.5), version='2.6')
    log = read_logs(tmp_path)
    assert log.messages == {('WARNING', 'first line\n  second line'): 2, ('ERROR', 'worse'): 2}
    assert log.environment == {'sys.platform': 'linux', 'PyTorch': '2.6', 'seed': '3'}
    assert log.config == "stamp = '20260102_000000'\n"


def test_runs_are_named_below_the_folder_that_they_share(tmp_path):
    for name in ('a', 'b/c'):
        session(tmp_path / 'runs' / name, '20260101_000000', at(1, 0.5))

    def names(*folders: str) -> list[str]:
        return [run.name for run in read_runs([tmp_path / f for f in folders]).trainings]

    assert names('runs') == names('runs', 'runs/a') == ['a', 'b/c']
    assert names('runs/a') == ['a']
    assert names('runs/b/c', 'runs/a') == ['b/c', 'a']


def test_time_steps_that_were_added_by_hand_are_given(tmp_path):
    found = TimestepMatch(5, (4, 9), 5, 0.9, 'identified', 'linear_probe', [(5, 0.25)], 32)
    tasks = {'rainy': found.to_json(), 'foggy': {'t_mat': 40}}
    write_timesteps(tmp_path / 'timesteps_mine.json', tasks, {})
    matches = read_runs([tmp_path]).matches[f'{tmp_path.name}/timesteps_mine.json']
    assert (matches['rainy'].interval, matches['rainy'].curve) == ((4, 9), [[5, 0.25]])
    assert describe_match(matches['foggy'].to_json()) == 't_mat = 40, given'


@pytest.mark.parametrize(
    ('data', 'max_iters', 'joined'),
    [
        ('cumulative', {'max_iters': 12}, [('x',), ('x', 'y')]),
        ('joint', {'max_iters': 8}, [('x', 'y', 'z'), ('x', 'y', 'z')]),
        ('joint', {}, [('x', 'y', 'z'), ('x', 'y', 'z')]),  # as earlier versions wrote it
    ],
)
def test_tasks_of_a_table_of_forgetting_join_by_its_schedule(tmp_path, data, max_iters, joined):
    rows = [{'iter': i, 'psnr': {'x': i, 'y': 1.0, 'z': 2.0}} for i in (4, 8)]
    content = {'order': ['x', 'y', 'z'], 'data': data, 'rows': rows} | max_iters
    (tmp_path / 'forgetting.json').write_text(json.dumps(content))
    table = read_forgetting(tmp_path / 'forgetting.json')
    assert table.order == ('x', 'y', 'z')
    assert table.stages == [(tasks, row['psnr']) for tasks, row in zip(joined, rows, strict=True)]


def test_image_rows_are_those_that_were_written(tmp_path):
    names = ('psnr', 'ssim', 'input_psnr', 'input_ssim')
    row = {'task': 'rainy', 'domain': 'source', 'path': 'a,"b".png', 't': 8}
    row |= {name: 1.25 * i for i, name in enumerate(names)} | {'lpips': None, 'input_lpips': None}
    write_rows_csv([row], tmp_path / 'images.csv')
    assert read_image_rows(tmp_path / 'images.csv') == [row]


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('summary.json', '', 'no summary.json: repeat the test'),
        ('summary.json', '[]', 'is not what this version of dtir-mm test writes'),
        ('summary.json', '{"rows": null}', 'is not what this version of dtir-mm test writes'),
        ('summary.json', '{"rows": [1]}', 'is not what this version of dtir-mm test writes'),
        ('summary.json', '{"rows": [], "images": [1]}', 'is not what this version of dtir-mm'),
        ('summary.json', '{"rows": [], "images": [], "protocol": "rgb"}', 'no rows of a method'),
        ('images.csv', 'task,domain\n1,2\n', r"is not a table of images of dtir-mm test: 'psnr'"),
        ('images.csv', '\udce8\udcff', r"is not a table of images of dtir-mm test: 'utf-8' codec"),
        ('images.csv', 'no first row', 'has 1 images, which are not those of .*: repeat the test'),
        ('images.csv', 'no last row', 'has 1 images, which are not those of .*: repeat the test'),
        ('images.csv', 'no rows', 'has 0 images, which are not those of .*: repeat the test'),
        ('images.csv', 'cut row', r'^line 3 of .*images\.csv is damaged \(it is cut off\): repeat'),
        ('images.csv', 'no PSNR', r'^line 3 of .*images\.csv is damaged \(could not convert '),
    ],
)
def test_damaged_tests_are_named(tmp_path, name, content, message):
    figures = [*FIGURES, *(f'input_{figure}' for figure in FIGURES)]
    row = {'task': 'rainy', 'path': 'a.png', 't': 8} | dict.fromkeys(figures, 20.25)
    rows = [row | {'domain': domain} for domain in ('source', 'target')]
    means = [{'method': 'ours', 'n': 1} | row for row in rows]
    write_rows_csv(rows, tmp_path / 'images.csv')
    summary = {'rows': means, 'images': [], 'protocol': 'rgb'}
    (tmp_path / 'summary.json').write_text(json.dumps(summary))
    assert len(read_runs([tmp_path]).evaluations[0].rows['ours']) == 2
    head, first, last, end = (tmp_path / 'images.csv').read_text().split('\n')
    content = {
        'no first row': '\n'.join([head, last, end]),
        'no last row': '\n'.join([head, first, end]),
        'no rows': head + '\n',
        'cut row': '\n'.join([head, first, last[: len(last) // 2]]),
        'no PSNR': '\n'.join([head, first, last.replace('20.250000', '', 1), end]),
    }.get(content, content)
    (tmp_path / name).write_bytes(content.encode(errors='surrogateescape'))
    if not content:
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=message):
        read_runs([tmp_path])


def test_a_table_of_images_that_is_cut_anywhere_in_a_line_is_damaged(tmp_path):
    """Also within a quoted name or the last number, which would still be read."""
    figures = [*FIGURES, *(f'input_{figure}' for figure in FIGURES)]
    row = {'task': 'rainy', 'domain': 'source', 'path': 'a,"b".png', 't': 8}
    path = tmp_path / 'images.csv'
    write_rows_csv([row | dict.fromkeys(figures, 20.25)] * 2, path)
    text = path.read_text()
    begin = text.rstrip('\n').rindex('\n') + 1
    for end in range(begin + 1, len(text)):
        path.write_text(text[:end])
        with pytest.raises(ValueError, match=rf'^line 3 of {path} is damaged \(it '):
            read_image_rows(path)
    path.write_text(text)
    assert len(read_image_rows(path)) == 2


def test_a_file_in_place_of_a_folder_is_named_as_one(tmp_path):
    checkpoint = tmp_path / 'iter_40.pth'
    checkpoint.write_bytes(b'')
    with pytest.raises(NotADirectoryError) as error:
        read_runs([checkpoint])
    said = f'{checkpoint} is a file, not a folder of results: name its folder'
    assert str(error.value) == said


@pytest.mark.parametrize('iteration', ['"a"', '[1]', '1.5', '-1', '9' * 400])
def test_what_is_no_iteration_is_named(tmp_path, iteration):
    session(tmp_path, '20260101_000000', at(1, 0.5), end=f'\n{{"psnr": 1, "iter": {iteration}}}\n')
    with pytest.raises(ValueError, match=r'line 2 of .*scalars\.json has no iteration: '):
        read_runs([tmp_path])


def test_scalars_that_are_no_text_are_named(tmp_path):
    session(tmp_path, '20260101_000000', at(1, 0.5) | {'large': 10**400, 'low': -(10**400)})
    assert read_series(tmp_path).keys() == {'content', 'lr'}
    (tmp_path / '20260101_000000' / 'vis_data' / 'scalars.json').write_bytes(b'\xe8\xff\n')
    with pytest.raises(ValueError, match=r"scalars\.json is not a file of mmengine: 'utf-8' codec"):
        read_runs([tmp_path])
