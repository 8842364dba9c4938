"""tools/test.py: table, CSV of all images, summary and images, on one process or two."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from skimage.metrics import peak_signal_noise_ratio
from two_processes import run_on_two

from dtir_mm.apis import load_restorer, restore_pixels
from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint
from dtir_mm.image_io import read_image, save_image
from dtir_mm.names import shown
from dtir_mm.randomness import generator


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / 'images.csv', newline='') as file:
        return list(csv.DictReader(file))


def test_non_finite_weights_are_reported(failure_of, toy, tmp_path):
    checkpoint = load_checkpoint(toy.finetune).content
    checkpoint['state_dict']['backbone.net.conv_out.weight'][:] = 3e38
    save_checkpoint(checkpoint, tmp_path / 'huge.pth')
    out = tmp_path / 'out'
    message = failure_of('test', toy.config, tmp_path / 'huge.pth', '--work-dir', out)
    assert f'{toy.photos / "0.png"}: the network gives NaN or infinity' in message
    assert 'backbone.net.conv_out (Conv2d) is the first layer' in message
    assert list(out.glob('*.csv')) == list(out.glob('*.json')) == []


def test_metrics_are_those_of_the_images(run_tool, toy, tmp_path):
    printed = run_tool('test', toy.config, toy.finetune, '--work-dir', tmp_path, '--images', '1')
    rows = rows_of(tmp_path)
    assert [(row['domain'], Path(row['path']).stem) for row in rows] == [
        ('source', '0'), ('source', '3'), ('target', '0'), ('target', '3'),
    ]  # fmt: skip
    assert not (tmp_path / 'images_blind.csv').exists(), 'there is no classifier'
    restorer = load_restorer(toy.finetune)
    for row in rows:
        clean = read_image(row['path'])
        rng = generator(0, 'rainy', row['domain'], Path(row['path']).stem, 0)
        degraded = degradation_for('rainy', row['domain']).degrade(clean, rng)
        restored = restore_pixels(restorer, degraded, 8)
        for name, image in (('input_psnr', degraded), ('psnr', restored)):
            expected = peak_signal_noise_ratio(clean, image, data_range=255)
            assert float(row[name]) == pytest.approx(expected, abs=1e-4)
        assert (row['t'], row['lpips']) == ('8', '')

    summary = json.loads((tmp_path / 'summary.json').read_text())
    means = {(r['method'], r['domain']): r for r in summary['rows']}
    assert set(means) == {(m, d) for m in ('input', 'ours') for d in ('source', 'target')}
    for (method, domain), mean in means.items():
        name = 'input_psnr' if method == 'input' else 'psnr'
        values = [float(row[name]) for row in rows if row['domain'] == domain]
        assert mean['psnr'] == pytest.approx(np.mean(values), abs=1e-5)
        assert mean['n'] == 2
        assert f'{mean["psnr"]:.2f}' in printed
    assert summary['timesteps'] == {'rainy': {'t_mat': 8}}
    assert (summary['precision'], summary['seed']) == ('fp32', 0)
    assert len(summary['images']) == 2
    for photo in summary['images']:
        assert read_image(photo).shape[1] > 3 * 48


def test_images_with_unusual_names(run_tool, toy, tmp_path):
    names = [os.fsdecode(b'caf\xe9'), 'x' * 245, 'two\nlines, "q" 100%s', '-é']
    for name in names:
        save_image(tmp_path / 'in' / f'{name}.png', read_image(toy.photos / '0.png'))
    data = f'test_dataloader.dataset.folder={tmp_path / "in"}'
    options = ('--cfg-options', data, 'test_dataloader.dataset.max_photos=4')
    printed = run_tool('test', toy.config, toy.finetune, '--work-dir', tmp_path / 'out', *options)
    assert 'PSNR' in printed
    stems = [Path(row['path']).stem for row in rows_of(tmp_path / 'out')]
    assert sorted(stems) == sorted(2 * [shown(names[0]), *names[1:]])
    assert len(list((tmp_path / 'out' / 'images').iterdir())) == 6


def test_ema_weights_are_tested_unless_online_weights_are_requested(run_tool, toy, tmp_path):
    run_tool('test', toy.config, toy.finetune, '--work-dir', tmp_path / 'plain')
    checkpoint = load_checkpoint(toy.finetune).content
    averages = {name: 0.9 * value for name, value in checkpoint['state_dict'].items()}
    checkpoint = {**checkpoint, 'online_state_dict': checkpoint['state_dict']}
    checkpoint['meta']['ema_decay'] = 0.5
    save_checkpoint({**checkpoint, 'state_dict': averages}, tmp_path / 'ema.pth')
    for name, options, words, decay in (
        ('averaged', (), 'weights: averaged (EMA, decay 0.5)', 0.5),
        ('online', ('--online-weights',), 'weights: of the last update', None),
    ):
        printed = run_tool(
            'test', toy.config, tmp_path / 'ema.pth', '--work-dir', tmp_path / name, *options
        )
        assert words in printed
        summary = json.loads((tmp_path / name / 'summary.json').read_text())
        assert summary['ema_decay'] == decay
        same = rows_of(tmp_path / name) == rows_of(tmp_path / 'plain')
        assert same == (name == 'online')


def test_two_processes_give_the_rows_of_one(run_tool, toy, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('two processes would need two GPUs')
    run_tool('test', toy.config, toy.finetune, '--work-dir', tmp_path / 'one')
    command = ('bash', 'tools/dist_test.sh', toy.config, toy.finetune, 2)
    run_on_two(*command, '--work-dir', tmp_path / 'two')
    assert rows_of(tmp_path / 'two') == rows_of(tmp_path / 'one')


def test_pre_trained_weights_are_tested_at_the_step_of_the_config(run_tool, toy, tmp_path):
    config = Config.fromfile(toy.config)
    names = ('type', 'backbone', 'schedule')
    config.model = {**{name: config.model[name] for name in names}, 'timesteps': dict(rainy=9)}
    config.model['head'] = dict(type='NoiseHead', residual_scale='sigma')
    config.dump(tmp_path / 'zero_shot.py')
    out = run_tool('test', tmp_path / 'zero_shot.py', toy.pretrain, '--work-dir', tmp_path / 'out')
    assert {row['t'] for row in rows_of(tmp_path / 'out')} == {'9'}
    assert f"{toy.pretrain}/iter_2.pth is a pre-training checkpoint (objective 'noise')" in out
    assert 'weights: of the last update, only pre-trained' in out


def test_weights_without_metadata_are_tested_with_the_steps_of_the_config(run_tool, toy, tmp_path):
    weights = load_checkpoint(toy.finetune).weights
    torch.save({'params': {f'module.{n}': w for n, w in weights.items()}}, tmp_path / 'a.pth')
    out = run_tool('test', toy.config, tmp_path / 'a.pth', '--work-dir', tmp_path / 'alone')
    assert 'weights: of another program, with the time steps of the config' in out
    out = run_tool('test', toy.config, toy.finetune, '--work-dir', tmp_path / 'whole')
    assert 'pre-training' not in out
    assert rows_of(tmp_path / 'alone') == rows_of(tmp_path / 'whole')


def test_missing_lpips_weights_name_the_command(failure_of, toy, tmp_path, monkeypatch):
    monkeypatch.setenv('DTIR_CACHE', str(tmp_path / 'empty'))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'empty'))
    message = failure_of('test', toy.config, toy.finetune, '--work-dir', tmp_path / 'out',
                         '--protocol', 'rgb')  # fmt: skip
    assert 'dtir-mm prepare-lpips' in message
