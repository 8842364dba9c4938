"""tools/restore.py and tools/test.py with deployed networks, and the tools with release files."""

import csv
import json
import re

import numpy as np
import pytest
import torch

from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.image_io import read_image, save_image


@pytest.fixture(scope='module')
def files(toy, tmp_path_factory):
    """The toy's network for rain, and all of it."""
    folder = tmp_path_factory.mktemp('files')
    assert toy.call('deploy', toy.finetune, folder / 'rainy', '--task', 'rainy', '--onnx') is None
    assert toy.call('deploy', toy.finetune, folder / 'step', '--t', 8) is None
    assert toy.call('deploy', toy.finetune, folder / 'all', '--all-tasks') is None
    return folder


@pytest.fixture
def odd(toy, tmp_path):
    """An image of a size that the network does not take."""
    image = read_image(toy.photos / '0.png')[:31, :23]
    save_image(tmp_path / 'odd.png', np.ascontiguousarray(image))
    return tmp_path / 'odd.png'


def rows_of(folder):
    with open(folder / 'images.csv', newline='') as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('rainy.safetensors', ()),
        ('rainy.onnx', ()),
        ('rainy.onnx', ('--task', 'rainy', '--tile', 16)),
        ('step.safetensors', ('--t', 8)),
        ('all.safetensors', ('--task', 'rainy')),
    ],
)
def test_restoring(toy, files, odd, run_tool, tmp_path, name, options):
    tile = options[2:]
    run_tool('restore', toy.finetune, odd, tmp_path / 'a.png', '--task', 'rainy', *tile)
    printed = run_tool('restore', files / name, odd, tmp_path / 'b.png', *options)
    assert 'restored 1 image' in printed
    image, expected, result = (
        read_image(file).astype(int) for file in (odd, tmp_path / 'a.png', tmp_path / 'b.png')
    )
    # Tiles start at multiples of a network's stride, which is found by trying for ONNX.
    most = 4 if tile else 1
    assert np.abs(result - expected).max() <= most and np.abs(expected - image).mean() > 1


@pytest.mark.parametrize(
    ('name', 'options', 'said'),
    [
        ('rainy.onnx', ('--task', 'hazy'), "deployed at t = 8, for 'rainy', and has no .* 'hazy'"),
        ('rainy.safetensors', ('--t', 9), "deployed at t = 8, for 'rainy', and has no .* t = 9"),
        ('step.safetensors', ('--task', 'rainy'), "deployed at t = 8, and has no .* 'rainy'"),
        ('rainy.onnx', ('--config', 'a.py'), r'a deployed network, .* complete without a\.py'),
    ],
)
def test_options_that_it_cannot_follow(files, odd, failure_of, tmp_path, name, options, said):
    message = failure_of('restore', files / name, odd, tmp_path / 'out.png', *options)
    assert str(files / name) in message and not (tmp_path / 'out.png').exists()
    assert re.search(said, message), message


@pytest.mark.parametrize('name', ['rainy.safetensors', 'rainy.onnx'])
def test_testing(toy, files, run_tool, tmp_path, name):
    run_tool('test', toy.config, toy.finetune, '--work-dir', tmp_path / 'a')
    printed = run_tool('test', toy.config, files / name, '--work-dir', tmp_path / 'b')
    assert f'weights: of the network in {files / name}' in printed
    whole, deployed = (rows_of(tmp_path / folder) for folder in 'ab')
    for row, expected in zip(deployed, whole, strict=True):
        assert float(row.pop('psnr')) == pytest.approx(float(expected.pop('psnr')), abs=1e-2)
        assert float(row.pop('ssim')) == pytest.approx(float(expected.pop('ssim')), abs=1e-3)
        assert row == expected
    summary = json.loads((tmp_path / 'b' / 'summary.json').read_text())
    assert (summary['timesteps'], summary['seed']) == ({'rainy': {'t_mat': 8}}, None)


def test_options_of_testing(toy, files, run_tool, failure_of, tmp_path):
    out = ('--work-dir', tmp_path / 'out')
    other = ('--cfg-options', 'test_dataloader.dataset.task=noisy')
    message = failure_of('test', toy.config, files / 'rainy.onnx', *out, *other)
    assert "rainy.onnx was deployed at t = 8, for 'rainy'" in message and "'noisy'" in message
    assert 'PSNR' in run_tool('test', toy.config, files / 'step.safetensors', *out, *other)
    message = failure_of('test', toy.config, files / 'rainy.onnx', *out, '--online-weights')
    assert 'a deployed network does not allow --online-weights' in message


def test_a_release_file_is_a_checkpoint_for_the_tools(toy, files, run_tool, failure_of, tmp_path):
    file, out = files / 'all.safetensors', tmp_path / 'out'
    weights = load_checkpoint(toy.finetune).weights
    rounded = {name: value.half().float() for name, value in weights.items()}
    run_tool('deploy', file, out / 'noisy', '--task', 'noisy')
    run_tool('interpolate_weights', file, toy.finetune, out / 'a.pth', '--share', 0)
    kept = load_checkpoint(out / 'a.pth').weights
    assert all(torch.equal(kept[name], value) for name, value in rounded.items())
    printed = run_tool('test', toy.config, file, '--work-dir', out / 'test')
    assert 'weights: as the file has them' in printed
    small = ('--photos', toy.photos, '--num-images', 8, '--size', 16)
    run_tool('match_timesteps', file, out / 't.json', '--tasks', 'rainy', *small)
    load = f'load_from={file}'
    run_tool('train', toy.config, '--work-dir', out / 'run', '--cfg-options', load)
    message = failure_of('train', toy.config, '--work-dir', out / 'more', '--resume', file)
    assert 'cannot be resumed from' in message and 'load_from instead' in message
    message = failure_of('accumulate_importance', file, out / 'b.pth', '--batches', 1)
    assert f'{file} has no train_dataloader' in message and '--config' in message
    batches = ('--batches', 1, '--config', toy.config)
    run_tool('accumulate_importance', file, out / 'b.pth', *batches)
    run_tool('deploy', file, out / 'again', '--all-tasks')
    assert (out / 'again.safetensors').stat().st_size == pytest.approx(file.stat().st_size, abs=64)


def test_what_writing_a_release_file_prints_and_rejects(toy, run_tool, failure_of, tmp_path):
    said = run_tool('deploy', toy.finetune, tmp_path / 'a', '--all-tasks', '--license', 'CC0-1.0')
    assert f'written: {tmp_path}/a.safetensors (' in said
    assert 'without a classifier for blind restoration' in said
    for options, expected in (
        (('--all-tasks', '--onnx'), 'ONNX holds the network of one time step'),
        (('--task', 'rainy', '--license', 'x'), '--license needs --all-tasks'),
        (('--all-tasks', '--task', 'rainy'), 'not allowed with'),
        ((), 'one of the arguments --task --t --all-tasks is required'),
    ):
        assert expected in failure_of('deploy', toy.finetune, tmp_path / 'b', *options)
    assert 'exists; give --overwrite' in failure_of(
        'deploy', toy.finetune, tmp_path / 'a', '--all-tasks'
    )
