"""tools/deploy.py: what it writes, prints and rejects."""

import importlib.util
import json

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open

from dtir_mm.apis import load_restorer
from dtir_mm.apis.deployment import load_deployed
from dtir_mm.image_io import read_image


def image(toy):
    """A photograph, (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(read_image(toy.photos / '1.png')).permute(2, 0, 1)[None] / 255


def restored(toy, t):
    restorer = load_restorer(toy.finetune).cpu()
    return restorer.restore_images(image(toy) * 2 - 1, torch.tensor([t]))


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize(
    ('step', 't'), [(('--task', 'rainy'), 8), (('--task', 'noisy'), 4), (('--t', 30), 30)]
)
def test_the_file_restores_as_the_checkpoint_does(toy, run_tool, tmp_path, step, t):
    run_tool('deploy', toy.finetune, tmp_path / 'net', *step)
    assert names_in(tmp_path) == ['net.safetensors']
    with torch.no_grad():
        result = load_deployed(tmp_path / 'net.safetensors')(image(toy))
    torch.testing.assert_close(result, restored(toy, t), rtol=0, atol=1e-5)
    assert (result - image(toy)).abs().mean() > 0.01, 'the toy does nothing'


def test_the_metadata_of_the_file(toy, run_tool, tmp_path):
    run_tool('deploy', toy.finetune, tmp_path / 'net.safetensors', '--task', 'rainy')
    with safe_open(tmp_path / 'net.safetensors', 'pt') as file:
        metadata = file.metadata()
    assert json.loads(metadata.pop('backbone'))['backbone']['width'] == 8
    assert metadata == {
        'format': 'dtir_mm.deployed',
        'task': 'rainy',
        't': '8',
        'size_multiple': '2',
        'image_range': '[-1.0, 1.0]',
        'checkpoint': 'finetune/iter_2.pth',
    }


def test_parameters_are_counted(toy, run_tool, tmp_path):
    printed = run_tool('deploy', toy.finetune, tmp_path / 'net', '--t', 8)
    backbone = load_restorer(toy.finetune).backbone
    training, bare = (sum(p.numel() for p in m.parameters()) for m in (backbone, backbone.net))
    counts = f'{training:,} of the training graph, {bare:,} of the bare network, {bare:,} deployed'
    assert training > bare and counts in printed
    assert str(tmp_path / 'net.safetensors') in printed


def test_a_config_replaces_that_of_the_checkpoint(toy, run_tool, tmp_path):
    step = ('--task', 'rainy')
    run_tool('deploy', toy.finetune, tmp_path / 'a', *step)
    run_tool('deploy', toy.finetune / 'iter_2.pth', tmp_path / 'b', *step, '--config', toy.config)
    files = [load_deployed(tmp_path / f'{name}.safetensors').state_dict() for name in 'ab']
    assert all(torch.equal(files[0][name], files[1][name]) for name in files[0])


def test_onnx_export(toy, run_tool, tmp_path):
    printed = run_tool('deploy', toy.finetune, tmp_path / 'net', '--t', 8, '--onnx')
    assert names_in(tmp_path) == ['net.onnx', 'net.safetensors']
    assert f'{tmp_path / "net.onnx"} (heights and widths must be multiples of 2)' in printed
    session = onnxruntime.InferenceSession(tmp_path / 'net.onnx')
    (result,) = session.run(['restored'], {'image': image(toy).numpy()})
    np.testing.assert_allclose(result, restored(toy, 8).numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize('name', ['net.onnx', 'net.safetensors', 'net'])
def test_a_suffix_of_the_output_is_not_doubled(toy, run_tool, failure_of, tmp_path, name):
    if name == 'net.onnx':
        said = failure_of('deploy', toy.finetune, tmp_path / name, '--t', 8)
        assert f'{tmp_path / name} names an ONNX file: give --onnx too' in said
    run_tool('deploy', toy.finetune, tmp_path / name, '--t', 8, '--onnx')
    assert names_in(tmp_path) == ['net.onnx', 'net.safetensors']


def test_a_task_that_it_was_not_trained_for_gives_a_warning(toy, run_tool, tmp_path):
    line = f'{toy.finetune}/iter_2.pth was trained for rainy, not for noisy: expect poor images'
    photo, data = toy.photos / '0.png', 'test_dataloader.dataset.task='
    for task in ('noisy', 'rainy'):
        out = tmp_path / task
        step = ('--task', task)
        for printed in (
            run_tool('deploy', toy.finetune, out / 'net', *step),
            run_tool('restore', toy.finetune, photo, out / 'a.png', *step),
            run_tool(
                'test', toy.config, toy.finetune, '--work-dir', out, '--cfg-options', data + task
            ),
        ):
            assert (line in printed) == (task == 'noisy')


def test_missing_onnx_is_reported_before_writing(toy, failure_of, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda n: None if n == 'onnx' else find(n))
    said = failure_of('deploy', toy.finetune, tmp_path / 'net', '--t', 8, '--onnx')
    assert 'ONNX needs onnx: pip install onnx onnxruntime' in said
    assert names_in(tmp_path) == []


@pytest.mark.parametrize('name', ['net.safetensors', 'net.onnx'])
def test_existing_files_need_overwrite(toy, run_tool, failure_of, tmp_path, name):
    (tmp_path / name).write_text('mine')
    command = ('deploy', toy.finetune, tmp_path / 'net', '--t', 8, '--onnx')
    message = failure_of(*command)
    assert str(tmp_path / name) in message and '--overwrite' in message
    assert names_in(tmp_path) == [name] and (tmp_path / name).read_text() == 'mine'
    run_tool(*command, '--overwrite')
    assert names_in(tmp_path) == ['net.onnx', 'net.safetensors']
    assert (tmp_path / name).read_bytes() != b'mine'


@pytest.mark.parametrize(
    ('step', 'expected'),
    [
        (('--task', 'hazy'), ('hazy', 'rainy', 'noisy')),
        (('--t', 0), ('t=0', '1..50')),
        (('--t', 51), ('t=51', '1..50')),
        (('--t', 8, '--task', 'rainy'), ('--task', '--t')),
    ],
)
def test_unknown_tasks_and_steps_out_of_range_are_rejected(
    toy, failure_of, tmp_path, step, expected
):
    message = failure_of('deploy', toy.finetune, tmp_path / 'net', *step)
    assert all(part in message for part in expected)
    assert names_in(tmp_path) == []
