"""Matching from Python: pairs, criteria, fallbacks and the file written."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import dtir_mm
from dtir_mm.datasets import DegradedPhotosDataset
from dtir_mm.datasets.base_dataset import SampleKey
from dtir_mm.image_io import read_image, save_image
from dtir_mm.matching.criteria.criterion import Criterion
from dtir_mm.registry import CRITERIA, MODELS

SMALL = dict(size=16, num_images=8)


def build(backbone, **model):
    """A restorer with random weights, on which the time step has an effect."""
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, **model))
    with torch.no_grad():
        for parameter in restorer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return restorer


@pytest.fixture
def restorer(toy_backbone):
    return build(toy_backbone)


@pytest.fixture
def own_pairs(tmp_path):
    """Pairs of faint noise on noise images, which features cannot distinguish."""
    rng = np.random.default_rng(0)
    for i in range(4):
        clean = rng.integers(3, 253, (16, 16, 3), dtype=np.uint8)
        noise = rng.integers(-3, 4, clean.shape)
        save_image(tmp_path / 'clean' / f'{i}.png', clean)
        save_image(tmp_path / 'degraded' / f'{i}.png', (clean + noise).astype(np.uint8))
    return tmp_path / 'degraded', tmp_path / 'clean'


def test_match_timesteps_is_imported_lazily():
    code = 'import sys, dtir_mm; print("dtir_mm.apis" in sys.modules, dtir_mm.match_timesteps)'
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.stdout.startswith('False <function match_timesteps'), result.stderr
    assert not hasattr(dtir_mm, 'match_timestep')


def test_the_score_criterion_is_the_error_of_one_denoising_step(restorer, photos_dir):
    options = dict(method='score', seed=3, **SMALL)
    match = dtir_mm.match_timesteps(restorer, ['noisy'], photos_dir, **options)['noisy']
    pipeline = [{'type': 'RandomPatch', 'size': 16}, {'type': 'PackSample'}]
    dataset = DegradedPhotosDataset(str(photos_dir), 'noisy', pipeline)
    samples = [dataset[SampleKey(3, 0, i, i % 6)] for i in range(8)]
    y, x = (
        torch.stack([sample[name] for sample in samples]).double() / 127.5 - 1
        for name in ('degraded', 'clean')
    )
    alpha_bar = np.cumprod(1 - np.linspace(0.002, 0.4, 50))
    assert len(match.curve) > 12
    for step, error in match.curve:
        with torch.no_grad():
            noise = restorer.predict_noise(y.float(), torch.full((8,), step)).double()
        rest = y - np.sqrt(1 - alpha_bar[step - 1]) * noise - x
        relative = rest.square().sum((1, 2, 3)) / (y - x).square().sum((1, 2, 3))
        assert error == pytest.approx(float(relative.mean()), rel=1e-4)


def test_own_pairs_match_like_the_same_synthetic_pairs(restorer, photos_dir, tmp_path):
    for pair in DegradedPhotosDataset(str(photos_dir), 'noisy', []):
        save_image(tmp_path / 'degraded' / pair['path'].rsplit('/', 1)[1], pair['degraded'])
    own = {'my own': (tmp_path / 'degraded', photos_dir)}
    first = dtir_mm.match_timesteps(restorer, ['noisy'], photos_dir, **SMALL)
    second = dtir_mm.match_timesteps(restorer, own, **SMALL)
    assert second == {'my own': first['noisy']}


def test_photos_are_shrunk_as_in_training(restorer, photos_dir, tmp_path):
    for file in photos_dir.iterdir():
        image = read_image(file).repeat(2, axis=0).repeat(2, axis=1)
        save_image(tmp_path / 'large' / file.name, image)
    options = dict(method='score', **SMALL)
    small = dtir_mm.match_timesteps(restorer, ['noisy'], photos_dir, **options)
    large = dtir_mm.match_timesteps(restorer, ['noisy'], tmp_path / 'large', shrink=0.5, **options)
    assert small == large


class Distance(Criterion):
    """A user-defined criterion whose lowest relative error is 0.1."""

    def __init__(self, to: int = 30, min_gain: float = 0.8) -> None:
        self.to = to
        self.min_gain = min_gain

    def errors_at(self, network, degraded, clean, seed):
        return lambda t: torch.full((len(clean),), 0.1 + abs(t - self.to) / 100)


@pytest.mark.parametrize(
    ('method', 't_mat', 'status'),
    [
        ('distance', 30, 'identified'),
        (dict(type='distance', to=17), 17, 'identified'),
        (dict(type='distance', min_gain=0.95), 30, 'unidentified'),
    ],
)
def test_a_custom_criterion(restorer, photos_dir, monkeypatch, method, t_mat, status):
    monkeypatch.setitem(CRITERIA.module_dict, 'distance', Distance)
    match = dtir_mm.match_timesteps(restorer, ['noisy'], photos_dir, method=method, **SMALL)
    assert (match['noisy'].t_mat, match['noisy'].status) == (t_mat, status)
    assert match['noisy'].method == 'distance'


@pytest.mark.parametrize(
    ('schedule', 'fallback', 'table_4'),
    [
        ('VariancePreserving', 'recipe', False),
        ('VariancePreserving', 'found', False),
        ('VariancePreserving', 'paper', True),
        ('VarianceExploding', 'recipe', True),
        ('VarianceExploding', 'found', False),
    ],
)
def test_fallbacks_of_unidentified_tasks(toy_backbone, own_pairs, schedule, fallback, table_4):
    restorer = build(toy_backbone, schedule=dict(type=schedule))
    options = dict(fallback=fallback, **SMALL)
    match = dtir_mm.match_timesteps(restorer, {'blurry': own_pairs}, **options)['blurry']
    assert (match.method, match.status) == ('linear_probe', 'unidentified')
    assert match.fallback == ('paper' if table_4 else None)
    assert match.t_mat in ([50] if table_4 else dict(match.curve))


def test_a_criterion_as_fallback(restorer, own_pairs):
    before = {name: weight.clone() for name, weight in restorer.state_dict().items()}
    fallback = dict(type='probe_train', iterations=2)
    match = dtir_mm.match_timesteps(restorer, {'fog': own_pairs}, fallback=fallback, **SMALL)
    assert match['fog'].method == 'probe_train'
    assert list(dict(match['fog'].curve)) == [1, 8, 16, 24, 32, 40, 50]
    assert match['fog'].n == 4, 'half of the pairs are held out'
    assert all(torch.equal(w, before[name]) for name, w in restorer.state_dict().items())


@pytest.mark.parametrize('method', ['score', dict(type='probe_train', iterations=1)])
def test_a_network_without_an_effect_of_t_is_reported(restorer, photos_dir, method):
    with torch.no_grad():
        for name, weight in restorer.state_dict().items():
            if 'films.' in name:
                weight.zero_()
    match = dtir_mm.match_timesteps(restorer, ['noisy'], photos_dir, method=method, **SMALL)
    no_effect = 'the time step has no effect' in (match['noisy'].reason or '')
    assert no_effect == (method == 'score'), 'training may change that'
    assert match['noisy'].status == 'unidentified'


def test_the_file_of_matches(restorer, photos_dir, tmp_path):
    output = tmp_path / 'new' / 'steps.json'

    def match(*tasks, method, **options):
        return dtir_mm.match_timesteps(
            restorer, tasks, photos_dir, method=method, output=output, **options
        )

    first = match('noisy', 'hazy', method='fixed:7', seed=5)
    document = json.loads(output.read_text())
    assert list(document['tasks']) == list(first) == ['noisy', 'hazy']
    weights = restorer.state_dict().values()
    digest = hashlib.sha256(b''.join(bytes(w.contiguous().view(-1).numpy()) for w in weights))
    assert document['source'] == {
        'checkpoint': None,
        'weights_sha256': digest.hexdigest(),
        'schedule': {'type': 'VariancePreserving', 'name': 'linear_scaled', 'num_steps': 50},
        'num_steps': 50,
        'image_range': [-1, 1],
        'seed': 5,
    }
    both = match('rainy', 'hazy', method='fixed:9')
    assert {task: m.t_mat for task, m in both.items()} == {'noisy': 7, 'hazy': 9, 'rainy': 9}

    before = output.read_bytes()
    with torch.no_grad():
        next(restorer.parameters()).add_(1)
    with pytest.raises(ValueError, match=f'{output} has time steps of other weights'):
        match('jpeg', method='fixed:3')
    assert output.read_bytes() == before
    assert list(match('jpeg', method='fixed:3', overwrite=True)) == ['jpeg']
    assert list(json.loads(output.read_text())['tasks']) == ['jpeg']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(tasks=['rain']), "unknown task 'rain'.*rainy"),
        (dict(tasks={'fog': ('a', 'b')}), 'without; got tasks=.*fog.*photos='),
        (dict(photos=None), r"with photos.* tasks=\['noisy'\], photos=None"),
        (dict(size=15), 'size=15: .*sides of multiples of 2, from 2'),
        (dict(shrink=0.0), r'shrink=0.0.*\(0, 1\]'),
        (dict(method='scores'), "noisy: method 'scores' must be one of linear_probe, .*fixed:k"),
        (dict(method='fixed:51'), r'noisy: .*fixed:51.* 1\.\.50'),
        (dict(fallback='random'), "'random' must be one of recipe, paper, found, linear_probe"),
        (dict(num_images=3), 'num_images=3 must be at least 4'),
        (dict(output='steps.png'), 'the output must be a .json file, got steps.png'),
    ],
)
def test_invalid_arguments_are_rejected(restorer, photos_dir, change, message):
    arguments = dict(tasks=['noisy'], photos=photos_dir, **SMALL) | change
    with pytest.raises(ValueError, match=message):
        dtir_mm.match_timesteps(restorer, **arguments)
