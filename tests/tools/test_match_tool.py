"""The tool that finds matching time steps: its arguments, what it prints, its JSON and plot."""

import json

import numpy as np
import pytest

from dtir_mm.image_io import read_image, save_image
from dtir_mm.matching.search import coarse_grid
from dtir_mm.matching.timesteps_file import load_timesteps
from dtir_mm.registry import CRITERIA

SMALL = ('--size', 16, '--num-images', 8, '--probe-iterations', 2)
GIVEN = ('paper', 'random', 'fixed:7')
PROBE_TRAIN_STEPS = [1, 8, 16, 24, 32, 40, 50]

CRITERION = """
import torch
from dtir_mm.matching.criteria.criterion import Criterion
from dtir_mm.registry import CRITERIA

@CRITERIA.register_module(name='always_nine')
class AlwaysNine(Criterion):
    def errors_at(self, network, degraded, clean, seed):
        return lambda t: torch.full((len(clean),), 0.1 + abs(t - 9) / 100)
"""


@pytest.fixture
def match(toy, run_tool, tmp_path):
    """Calls the tool on the toy and its photographs; gives the JSON's content."""

    def run(*arguments, photos=True):
        target = tmp_path / 'new' / 'steps.json'
        source = ('--photos', toy.photos) if photos else ()
        printed = run_tool('match_timesteps', toy.pretrain, target, *source, *SMALL, *arguments)
        assert str(target) in printed
        return json.loads(target.read_text())

    return run


@pytest.mark.parametrize(
    'method', ['linear_probe', 'score', 'sdedit', 'trajectory', 'probe_train', *GIVEN]
)
def test_every_method_writes_matches_and_a_plot_of_its_curves(match, toy, tmp_path, method):
    tasks = ['noisy', 'blurry'][: 1 if method == 'probe_train' else 2]
    document = match('--tasks', *tasks, '--method', method)
    assert document.keys() == {'source', 'tasks'} and list(document['tasks']) == tasks
    assert document['source']['checkpoint'] == str(toy.pretrain)
    grids = {'trajectory': range(1, 51), 'probe_train': PROBE_TRAIN_STEPS}
    for found in document['tasks'].values():
        assert found['method'] == method
        low, high = found['interval']
        if method in GIVEN:
            assert found['t_mat'] == low == high and 1 <= low <= 50
            assert (found['status'], found['curve'], found['n']) == ('given', [], 0)
            continue
        assert found['status'] in ('identified', 'unidentified')
        assert found['n'] == (4 if method == 'probe_train' else 8), 'probe_train trains on half'
        steps, errors = zip(*found['curve'], strict=True)
        assert set(steps) >= set(grids.get(method, coarse_grid(50)))
        assert list(steps) == sorted(set(steps)) and min(errors) >= 0
        assert 1 <= low <= high <= 50
        assert found['t_mat'] in steps and found['fallback'] is None
        assert found['outside_interval'] == (not low <= found['t_mat'] <= high)
    plot = tmp_path / 'new' / 'steps.png'
    assert plot.is_file() == (method not in GIVEN)
    if plot.is_file():
        image = read_image(plot)
        height, width = image.shape[:2]
        assert (width > 1.5 * height) == (len(tasks) == 2), 'not one panel per task'
        halves = image[:, : width // 2], image[:, width // 2 :]
        assert all((half < 100).all(axis=2).mean() > 1e-3 for half in halves), 'nothing is drawn'


def test_matches_of_other_tasks_stay(match, toy, failure_of, tmp_path):
    match('--tasks', 'noisy', 'hazy', '--method', 'fixed:7')
    both = match('--tasks', 'rainy', 'hazy', '--method', 'fixed:9')['tasks']
    assert {task: m['t_mat'] for task, m in both.items()} == {'noisy': 7, 'hazy': 9, 'rainy': 9}

    target = tmp_path / 'new' / 'steps.json'
    command = (toy.finetune, target, '--photos', toy.photos, '--tasks', 'jpeg')
    said = failure_of('match_timesteps', *command, '--method', 'fixed:3')
    assert f'{target} has time steps of other weights' in said and '--overwrite' in said
    assert load_timesteps(target).keys() == both.keys()
    toy.call('match_timesteps', *command, '--method', 'fixed:3', '--overwrite')
    assert load_timesteps(target) == {'jpeg': 3}


@pytest.fixture
def unmatchable(tmp_path):
    """Arguments for pairs of faint noise on images that are noise: no features tell them apart."""
    rng = np.random.default_rng(0)
    for i in range(4):
        clean = rng.integers(3, 253, (16, 16, 3), dtype=np.uint8)
        save_image(tmp_path / 'clean' / f'{i}.png', clean)
        noise = rng.integers(-3, 4, clean.shape)
        save_image(tmp_path / 'degraded' / f'{i}.png', (clean + noise).astype(np.uint8))
    folders = ('--degraded', tmp_path / 'degraded', '--clean', tmp_path / 'clean')
    return (*folders, '--tasks', 'blurry')


def test_the_fallback_and_its_reason_are_printed(toy, unmatchable, run_tool, tmp_path):
    target = tmp_path / 'steps.json'
    command = (toy.pretrain, target, *unmatchable, *SMALL, '--fallback', 'paper')
    printed = run_tool('match_timesteps', *command).splitlines()
    found = json.loads(target.read_text())['tasks']['blurry']
    low, high = found['interval']
    outside = '' if high == 50 else ' does not contain it'
    line = f't_mat = 50 (Table 4; 90 % interval {low}..{high}{outside}), unidentified'
    assert printed == [
        f'blurry: {line}: {found["reason"]}',
        f'written: {target}, {target.with_suffix(".png")}',
    ]


def test_probe_train_as_fallback(match, unmatchable):
    found = match(*unmatchable, '--fallback', 'probe_train', photos=False)['tasks']['blurry']
    assert found['method'] == 'probe_train'
    assert [step for step, _ in found['curve']] == PROBE_TRAIN_STEPS


def test_a_criterion_of_ones_own_from_the_config(match, toy, tmp_path, monkeypatch):
    (tmp_path / 'my_criterion.py').write_text(CRITERION)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(CRITERIA, '_module_dict', dict(CRITERIA.module_dict))
    config = tmp_path / 'mine.py'
    base = toy.config.with_name('pretrain.py')
    config.write_text(f"_base_ = ['{base}']\ncustom_imports = dict(imports=['my_criterion'])\n")
    found = match('--tasks', 'noisy', '--method', 'always_nine', '--config', config)
    assert found['tasks']['noisy']['t_mat'] == 9


@pytest.mark.parametrize(
    ('arguments', 'parts'),
    [
        (['--tasks', 'rian', '--method', 'fixed:7'], ["'rian'", 'rainy']),
        (
            ['--tasks', 'noisy', '--num-images', '0'],
            ["--num-images: '0' must be an integer of at least 4"],
        ),
        (['--tasks', 'noisy', '--size', '0'], ["--size: '0' must be an integer of at least 1"]),
        (['--tasks', 'noisy', '--size', '15'], ['size=15', 'sides of multiples of 2, from 2']),
        (
            ['--tasks', 'noisy', '--probe-iterations', '0'],
            ["--probe-iterations: '0' must be an integer"],
        ),
        (['--tasks', 'noisy', '--clean', 'a', '--degraded', 'b'], ['--photos', '--degraded']),
    ],
)
def test_mistakes_are_explained_and_nothing_is_written(toy, failure_of, tmp_path, arguments, parts):
    target = tmp_path / 'steps.json'
    message = failure_of(
        'match_timesteps', toy.pretrain, target, '--photos', toy.photos, *SMALL, *arguments
    )
    assert [part for part in parts if part not in message] == [], message
    assert list(tmp_path.iterdir()) == []


def test_own_folders_take_one_task_and_both_folders(toy, failure_of, tmp_path):
    command = ('match_timesteps', toy.pretrain, tmp_path / 'steps.json', '--tasks')
    assert '--photos' in failure_of(*command, 'noisy')
    assert '--clean' in failure_of(*command, 'noisy', '--degraded', toy.photos)
    folders = ('--degraded', toy.photos, '--clean', toy.photos)
    assert '--tasks' in failure_of(*command, 'noisy', 'rainy', *folders)
    lonely = tmp_path / 'degraded' / 'lonely.png'
    save_image(lonely, np.zeros((16, 16, 3), np.uint8))
    message = failure_of(*command, 'mine', '--degraded', lonely.parent, '--clean', toy.photos)
    assert "'lonely'" in message and str(toy.photos) in message
