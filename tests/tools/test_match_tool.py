"""The tool that finds matching time steps: what its JSON and plot hold, for every method."""

import hashlib
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from dtir_mm.apis import load_restorer
from dtir_mm.datasets import DegradedPhotosDataset
from dtir_mm.datasets.base_dataset import SampleKey
from dtir_mm.diffusion.timestep_matching import METHODS, coarse_grid
from dtir_mm.diffusion.timesteps_file import load_timesteps
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.image_io import read_image, save_image

SMALL = ('--size', 16, '--num-images', 8, '--probe-iterations', 2)
GIVEN = ('paper', 'random')
PROBE_TRAIN_STEPS = [1, 8, 16, 24, 32, 40, 50]


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


@pytest.mark.parametrize('method', METHODS)
def test_every_method_writes_matches_and_a_plot_of_its_curves(match, tmp_path, method):
    tasks = ['noisy', 'blurry'][: 1 if method == 'probe_train' else 2]
    document = match('--tasks', *tasks, '--method', method)
    assert document.keys() == {'source', 'tasks'} and list(document['tasks']) == tasks
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
        assert (width > 1.5 * height) == (len(tasks) == 2), 'not a panel a task'
        halves = image[:, : width // 2], image[:, width // 2 :]
        assert all((half < 100).all(axis=2).mean() > 1e-3 for half in halves), 'nothing is drawn'


def test_the_curve_of_score_is_one_step_of_restoring(match, toy):
    """Pairs and errors by hand, from the paper's equations."""
    found = match('--tasks', 'noisy', '--method', 'score', '--seed', 3)['tasks']['noisy']
    pipeline = [{'type': 'RandomPatch', 'size': 16}, {'type': 'PackSample'}]
    dataset = DegradedPhotosDataset(str(toy.photos), 'noisy', pipeline)
    samples = [dataset[SampleKey(3, 0, i, i % 6)] for i in range(8)]
    restorer = load_restorer(toy.pretrain).cpu()
    y, x = (
        torch.stack([sample[name] for sample in samples]).double() / 127.5 - 1
        for name in ('degraded', 'clean')
    )
    alpha_bar = np.cumprod(1 - np.linspace(0.002, 0.4, 50))
    for step, error in found['curve']:
        with torch.no_grad():
            noise = restorer.predict_noise(y.float(), torch.full((8,), step)).double()
        rest = y - np.sqrt(1 - alpha_bar[step - 1]) * noise - x
        relative = rest.square().sum((1, 2, 3)) / (y - x).square().sum((1, 2, 3))
        assert error == pytest.approx(float(relative.mean()), rel=1e-4)


def test_the_source_says_what_the_matches_depend_on(match, toy):
    source = match('--tasks', 'noisy', '--method', 'fixed:7', '--seed', 5)['source']
    weights = load_checkpoint(toy.pretrain / 'iter_2.pth').weights.values()
    digest = hashlib.sha256(b''.join(bytes(w.contiguous().view(-1).numpy()) for w in weights))
    assert source['weights_sha256'] == digest.hexdigest()
    assert source['checkpoint'] == str(toy.pretrain)
    assert (source['num_steps'], source['seed'], source['image_range']) == (50, 5, [-1, 1])
    schedule = {'type': 'VariancePreserving', 'name': 'linear_scaled', 'num_steps': 50}
    assert source['schedule'] == schedule


def test_a_fixed_step_is_written_for_every_task_without_a_plot(match, tmp_path):
    document = match('--tasks', 'noisy', 'hazy', '--method', 'fixed:7')
    for found in document['tasks'].values():
        assert (found['t_mat'], found['interval'], found['status']) == (7, [7, 7], 'given')
    assert load_timesteps(tmp_path / 'new' / 'steps.json') == {'noisy': 7, 'hazy': 7}
    assert not (tmp_path / 'new' / 'steps.png').exists()


def test_paper_takes_table_4(match):
    tasks = match('--tasks', 'noisy', 'low_light', 'blurry', '--method', 'paper')['tasks']
    assert {task: found['t_mat'] for task, found in tasks.items()} == {
        'noisy': 4,
        'low_light': 38,
        'blurry': 50,
    }


def test_matches_of_other_tasks_stay(match, toy, failure_of, tmp_path):
    """Each of one's own tasks takes a call; but steps of other weights are not mixed with them."""
    first = match('--tasks', 'noisy', 'hazy', '--method', 'fixed:7')['tasks']
    both = match('--tasks', 'rainy', 'hazy', '--method', 'fixed:9')['tasks']
    assert list(both) == ['noisy', 'hazy', 'rainy']
    assert both['noisy'] == first['noisy']
    assert both['hazy']['t_mat'] == both['rainy']['t_mat'] == 9

    target = tmp_path / 'new' / 'steps.json'
    command = (toy.finetune, target, '--photos', toy.photos, '--tasks', 'jpeg')
    before = target.read_bytes()
    said = failure_of('match_timesteps', *command, '--method', 'fixed:3')
    assert f'{target} has time steps of other weights' in said
    assert target.read_bytes() == before
    toy.call('match_timesteps', *command, '--method', 'fixed:3', '--overwrite')
    assert load_timesteps(target) == {'jpeg': 3}


def test_the_same_seed_gives_the_same_matches_and_another_one_others(match):
    command = ('--tasks', 'rainy', '--method', 'linear_probe', '--size', 32)
    first = match(*command)
    assert match(*command) == first
    other = match(*command, '--seed', 1)
    assert other['tasks']['rainy']['curve'] != first['tasks']['rainy']['curve']


def test_pairs_of_ones_own_match_like_the_same_pairs_made_here(match, toy, tmp_path):
    pairs = DegradedPhotosDataset(str(toy.photos), 'noisy', [])
    for pair in pairs:
        name = pair['path'].rsplit('/', 1)[1]
        save_image(tmp_path / 'degraded' / name, pair['degraded'])
    folders = ('--degraded', tmp_path / 'degraded', '--clean', toy.photos)
    command = ('--method', 'score', '--tasks')
    made = match(*command, 'noisy')['tasks']['noisy']
    own = match(*folders, *command, 'my own', photos=False)['tasks']['my own']
    assert own['curve'] == made['curve'] and own['n'] == made['n'] == 8


def test_photographs_are_shrunk_as_in_training(match, toy, tmp_path):
    for file in toy.photos.iterdir():
        image = read_image(file).repeat(2, axis=0).repeat(2, axis=1)
        save_image(tmp_path / 'large' / file.name, image)
    command = ('--method', 'score', '--tasks', 'noisy')
    small = match(*command)
    shrunk = match(*command, '--photos', tmp_path / 'large', '--shrink', 0.5, photos=False)
    assert shrunk['tasks'] == small['tasks']


@pytest.fixture
def unmatchable(tmp_path):
    """Arguments for pairs of faint noise on images that are noise themselves.

    No features tell the two apart.
    """
    rng = np.random.default_rng(0)
    for i in range(4):
        clean = rng.integers(3, 253, (16, 16, 3), dtype=np.uint8)
        save_image(tmp_path / 'clean' / f'{i}.png', clean)
        noise = rng.integers(-3, 4, clean.shape)
        save_image(tmp_path / 'degraded' / f'{i}.png', (clean + noise).astype(np.uint8))
    folders = ('--degraded', tmp_path / 'degraded', '--clean', tmp_path / 'clean')
    return (*folders, '--tasks', 'blurry')


@pytest.mark.parametrize(
    ('fallback', 'table_4'),
    [((), False), (('--fallback', 'recipe'), False)]
    + [(('--fallback', 'found'), False), (('--fallback', 'paper'), True)],
)
def test_what_stands_in_with_preserved_variance(match, unmatchable, capsys, fallback, table_4):
    found = match(*unmatchable, *fallback, photos=False)['tasks']['blurry']
    assert (found['method'], found['status']) == ('linear_probe', 'unidentified')
    assert found['fallback'] == ('paper' if table_4 else None)
    assert (found['t_mat'] == 50) == table_4
    assert found['t_mat'] in [50] if table_4 else [step for step, _ in found['curve']]


def test_table_4_stands_in_where_variance_explodes(toy, unmatchable, run_tool, tmp_path):
    """The toy as if it had been trained by the recipe of the released code."""
    config = Config.fromfile(toy.config.with_name('pretrain.py'))
    config.model.schedule = {'type': 'VarianceExploding'}
    config.dump(tmp_path / 'exploding.py')
    target = tmp_path / 'steps.json'
    command = (toy.pretrain, target, *unmatchable, *SMALL, '--config', tmp_path / 'exploding.py')
    printed = run_tool('match_timesteps', *command)
    document = json.loads(target.read_text())
    assert document['source']['schedule'] == {
        'type': 'VarianceExploding',
        'sigma_max': 10.0,
        'num_steps': 50,
    }
    found = document['tasks']['blurry']
    assert (found['status'], found['fallback']) == ('unidentified', 'paper')
    assert found['t_mat'] == 50
    low, high = found['interval']
    outside = '' if high == 50 else ' does not hold it'
    line = f't_mat = 50 (Table 4; 90 % interval {low}..{high}{outside}), unidentified'
    assert f'blurry: {line}: {found["reason"]}' in printed.splitlines()
    assert found['outside_interval'] == (high < 50)


def test_probe_train_stands_in_where_nothing_is_identified(match, unmatchable):
    found = match(*unmatchable, '--fallback', 'probe_train', photos=False)['tasks']['blurry']
    assert found['method'] == 'probe_train'
    assert [step for step, _ in found['curve']] == PROBE_TRAIN_STEPS


@pytest.mark.parametrize('method', ['linear_probe', 'score', 'sdedit', 'trajectory'])
def test_a_network_on_which_t_has_no_effect_has_no_matching_step(toy, run_tool, tmp_path, method):
    checkpoint = torch.load(toy.pretrain / 'iter_2.pth')
    for name, weight in checkpoint['state_dict'].items():
        if 'films.' in name:
            weight.zero_()
    torch.save(checkpoint, tmp_path / 'timeless.pth')
    target = tmp_path / 'steps.json'
    command = (tmp_path / 'timeless.pth', target, '--tasks', 'noisy', '--photos', toy.photos)
    printed = run_tool('match_timesteps', *command, '--method', method, *SMALL)
    found = json.loads(target.read_text())['tasks']['noisy']
    assert (found['status'], found['interval']) == ('unidentified', [1, 50])
    assert found['confidence'] <= 0.1
    assert 'unidentified: the time step has no effect on these weights' in printed


def test_matches_of_an_older_file_stay(match, tmp_path):
    document = match('--tasks', 'noisy', '--method', 'linear_probe')
    del document['tasks']['noisy']['outside_interval'], document['tasks']['noisy']['reason']
    target = tmp_path / 'new' / 'steps.json'
    target.write_text(json.dumps(document))
    both = match('--tasks', 'hazy', '--method', 'fixed:9')['tasks']
    assert list(both) == ['noisy', 'hazy']
    assert both['noisy'].items() >= document['tasks']['noisy'].items()
    assert 'outside_interval' in both['noisy']


def test_probe_train_leaves_out_pairs_without_any_rain(match):
    found = match('--tasks', 'rainy', '--method', 'probe_train')['tasks']['rainy']
    assert found['n'] < 4  # half of the pairs that it rains on
    assert np.isfinite([error for _, error in found['curve']]).all()


def test_the_plot_does_not_take_the_place_of_the_json(toy, failure_of, tmp_path):
    command = ('match_timesteps', toy.pretrain, tmp_path / 'steps.png', '--photos', toy.photos)
    assert 'must be a .json file' in failure_of(*command, '--tasks', 'noisy')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('arguments', 'parts'),
    [
        (['--tasks', 'rain'], ["unknown task 'rain'", "did you mean 'rainy'"]),
        (['--tasks', 'noisy', '--method', 'fixed:51'], ['fixed:51', '1..50']),
        (['--tasks', 'noisy', '--method', 'fixed:x'], ['fixed:x', 'fixed:k', *METHODS]),
        (['--tasks', 'noisy', '--method', 'scores'], ['scores', 'score,']),
        (['--tasks', 'mine', '--method', 'paper'], ["unknown task 'mine'", 'rainy']),
        (['--tasks', 'rian', '--method', 'fixed:7'], ["'rian'", "did you mean 'rainy'"]),
        (['--tasks', 'noisy', '--shrink', '0'], ['shrink=0.0', '(0, 1]']),
        (
            ['--tasks', 'noisy', '--num-images', '0'],
            ["--num-images: '0' must be an integer of at least 4"],
        ),
        (['--tasks', 'noisy', '--size', '0'], ["--size: '0' must be an integer of at least 1"]),
        (['--tasks', 'noisy', '--size', '15'], ['--size=15', 'sides of multiples of 2, from 2']),
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


def test_a_folder_of_ones_own_takes_one_task_and_both_folders(toy, failure_of, tmp_path):
    command = ('match_timesteps', toy.pretrain, tmp_path / 'steps.json', '--tasks')
    assert '--photos' in failure_of(*command, 'noisy')
    assert '--clean' in failure_of(*command, 'noisy', '--degraded', toy.photos)
    folders = ('--degraded', toy.photos, '--clean', toy.photos)
    assert '--tasks' in failure_of(*command, 'noisy', 'rainy', *folders)
    lonely = tmp_path / 'degraded' / 'lonely.png'
    save_image(lonely, np.zeros((16, 16, 3), np.uint8))
    message = failure_of(*command, 'mine', '--degraded', lonely.parent, '--clean', toy.photos)
    assert "'lonely'" in message and str(toy.photos) in message
