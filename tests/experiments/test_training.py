"""Cells of a few updates: what their results hold, and what happens if one is run again."""

import json
import multiprocessing

import numpy as np
import pytest
from evidence import training
from evidence.configs import config_of
from evidence.matrix import all_cells

from dtir_mm.image_io import save_image

UPDATES = 4


@pytest.fixture
def run(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for split in ('train', 'test'):
        for i in range(16 if split == 'train' else 1):
            pixels = rng.integers(0, 256, (72, 72, 3)).astype(np.uint8)
            save_image(tmp_path / 'photos' / split / f'{i:02}.png', pixels)

    def small(cell, photos):
        config = config_of(cell, photos)
        config.train_cfg.max_iters = UPDATES
        config.default_hooks.logger.interval = 2
        return config

    monkeypatch.setattr(training, 'config_of', small)
    monkeypatch.setattr(training, 'hash_of', lambda cell: '0')
    monkeypatch.setattr(training, 'folder_of', lambda cell, work: work / cell.key)

    def run_cell(key):
        output = tmp_path / 'results' / f'{key}.json'
        arguments = all_cells()[key], tmp_path / 'photos', tmp_path / 'work', output
        process = multiprocessing.get_context('fork').Process(
            target=training.run_cell, args=arguments
        )
        process.start()
        process.join()
        assert process.exitcode == 0
        return json.loads(output.read_text())

    run_cell.work = tmp_path / 'work'
    return run_cell


def test_pretraining_fine_tuning_and_interpolation(run, monkeypatch):
    pretrained = run('pretrain-vp_all_s1')
    assert pretrained['updates'] == UPDATES
    assert pretrained['plateau']['left'] is None
    assert 'images' not in pretrained

    result = run('naive_rainy_s1')
    assert result['seed'] == 1
    assert [row[0] for row in result['curve']] == [2, 4]
    assert result['precision'] == 'fp32'
    domains = result['images']['rainy']
    assert domains.keys() == {'source', 'target', 'composite'}
    assert domains['source']['photographs'] == ['00']
    assert domains['target']['input_psnr'] < domains['source']['input_psnr']
    (log,) = (path.read_text() for path in run.work.glob('naive_rainy_s1/*/*.log'))
    assert f'weights from {run.work / "pretrain-vp_all_s1"}' in log

    again = run('naive_rainy_s1')  # as if its result had been lost
    assert again['resumed']
    assert again['images'] == result['images']
    assert again['curve'] == result['curve']

    monkeypatch.setattr(training, 'is_done', lambda cell, results: cell.key == 'naive_rainy_s1')
    assert run('naive_rainy_s1') == again  # for its weights, with "resumed" and times of before

    between = run('naive_wise50_rainy_s1')['images']['rainy']['source']['psnr']
    assert between != domains['source']['psnr']


def test_gradients_are_measured_without_training(run):
    run('pretrain-vp_all_s0')
    run('mixing_rainy_s0')
    weights = (run.work / 'mixing_rainy_s0' / f'iter_{UPDATES}.pth').read_bytes()
    found = run('mixing_gradients_rainy_s0')['gradients']
    assert found['norms'].keys() == {'content', 'generative'}
    assert found['updates']['generative'] == 1
    assert 0 < found['drift_of_all'] < 1
    assert (run.work / 'mixing_rainy_s0' / f'iter_{UPDATES}.pth').read_bytes() == weights
    assert not list((run.work / 'mixing_gradients_rainy_s0').glob('*.pth'))
