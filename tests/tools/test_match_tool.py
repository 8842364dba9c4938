"""tools/match_timesteps.py: its arguments, output, JSON and plot."""

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
    """Calls the tool on the toy and its photographs; returns the content of the JSON file."""

    def run(*arguments):
        target = tmp_path / 'new' / 'steps.json'
        source = (toy.pretrain, target, '--photos', toy.photos)
        assert str(target) in run_tool('match_timesteps', *source, *SMALL, *arguments)
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
        height, width = read_image(plot).shape[:2]
        assert (width > 1.5 * height) == (len(tasks) == 2), 'not one panel per task'


def test_the_fallback_and_its_reason_are_printed(toy, run_tool, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):  # faint noise on noise images, which features cannot distinguish
        clean = rng.integers(3, 253, (16, 16, 3), dtype=np.uint8)
        save_image(tmp_path / 'clean' / f'{i}.png', clean)
        noise = rng.integers(-3, 4, clean.shape)
        save_image(tmp_path / 'degraded' / f'{i}.png', (clean + noise).astype(np.uint8))
    folders = ('--degraded', tmp_path / 'degraded', '--clean', tmp_path / 'clean')
    target = tmp_path / 'steps.json'
    options = ('--tasks', 'blurry', *SMALL, '--fallback', 'paper')
    command = (toy.pretrain, target, *folders, *options)
    printed = run_tool('match_timesteps', *command).splitlines()
    found = json.loads(target.read_text())['tasks']['blurry']
    low, high = found['interval']
    outside = '' if high == 50 else ' does not contain it'
    line = f't_mat = 50 (Table 4; 90 % interval {low}..{high}{outside}), unidentified'
    assert printed == [
        f'blurry: {line}: {found["reason"]}',
        f'written: {target}, {target.with_suffix(".png")}',
    ]


def test_a_custom_criterion_of_a_config(match, toy, tmp_path, monkeypatch):
    (tmp_path / 'my_criterion.py').write_text(CRITERION)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(CRITERIA, '_module_dict', dict(CRITERIA.module_dict))
    config = tmp_path / 'mine.py'
    base = toy.config.with_name('pretrain.py')
    config.write_text(f"_base_ = ['{base}']\ncustom_imports = dict(imports=['my_criterion'])\n")
    found = match('--tasks', 'noisy', '--method', 'always_nine', '--config', config)
    assert found['tasks']['noisy']['t_mat'] == 9


def test_own_folders_take_one_task_and_both_folders(toy, failure_of, tmp_path):
    command = ('match_timesteps', toy.pretrain, tmp_path / 'steps.json', '--tasks')
    assert '--clean' in failure_of(*command, 'noisy', '--degraded', toy.photos)
    folders = ('--degraded', toy.photos, '--clean', toy.photos)
    assert '--tasks' in failure_of(*command, 'noisy', 'rainy', *folders)
    assert list(tmp_path.iterdir()) == []


def test_time_steps_of_other_weights_need_overwrite(match, toy, failure_of, tmp_path):
    match('--tasks', 'noisy', '--method', 'fixed:7')
    target = tmp_path / 'new' / 'steps.json'
    command = (toy.finetune, target, '--photos', toy.photos, '--tasks', 'jpeg')
    message = failure_of('match_timesteps', *command, '--method', 'fixed:3')
    assert 'has time steps of other weights' in message and '--overwrite' in message
    toy.call('match_timesteps', *command, '--method', 'fixed:3', '--overwrite')
    assert load_timesteps(target) == {'jpeg': 3}
