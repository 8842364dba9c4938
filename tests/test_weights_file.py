"""Files of every kind given as weights: read as data, or rejected by their kind."""

import argparse
import gzip
import io
import os
import pickle
import tarfile
import traceback
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_safetensors
from torch import nn

from dtir_mm.weights_file import CheckpointError, read_safetensors, read_weights_file

WEIGHTS = {'a.weight': torch.arange(6.0).view(2, 3), 'a.bias': torch.ones(2)}


class Whole(nn.Module):
    """Saved whole, a pickle of this class."""


def saved(content: object, **how: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **how)
    return file.getvalue()


def zipped(compression: int = zipfile.ZIP_STORED, **files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', compression) as archive:
        for name, content in files.items():
            archive.writestr(name.replace('_', '/', 1), content)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('net.pth'), io.BytesIO())
    return file.getvalue()


def script() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Conv2d(3, 3, 1), torch.ones(1, 3, 2, 2)), file)
    return file.getvalue()


def repeated() -> torch.Tensor:
    """A tera-element tensor of one value, which a pickle holds in 200 bytes."""
    return torch.ones(1).expand(10**12)


CODE = 'holds Python objects'
INCOMPLETE = 'is incomplete'
OTHERS = {
    'empty': (lambda: b'', 'is empty'),
    'page': (lambda: b'\n<!DOCTYPE html><html><title>Sign in</title></html>', 'is a web page'),
    'lfs': (
        lambda: b'version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 271\n',
        'git lfs pull',
    ),
    'text': (lambda: 'Température élevée\n'.encode() * 400, 'is a text file'),
    'bytes': (lambda: bytes(range(256)) * 4, 'is not a checkpoint or file of weights'),
    'beginning of a zip': (lambda: saved(WEIGHTS)[:3], 'is not a checkpoint or file of weights'),
    'half': (lambda: saved(WEIGHTS)[:700], INCOMPLETE),
    'half, before torch 1.6': (
        lambda: saved(WEIGHTS, _use_new_zipfile_serialization=False)[:-20],
        INCOMPLETE,
    ),
    'half a safetensors': (lambda: to_safetensors(WEIGHTS)[:-8], 'incomplete or damaged'),
    'module': (lambda: saved(Whole()), f'{CODE}.*Whole.*state_dict'),
    'module, before torch 1.6': (
        lambda: saved(Whole(), _use_new_zipfile_serialization=False),
        f'{CODE}.*Whole',
    ),
    'command': (lambda: saved({'x': Command()}), f'{CODE}.*system'),
    'script': (script, 'is a TorchScript program'),
    'pickle': (lambda: pickle.dumps({'a': 1}), 'is not a checkpoint of plain data'),
    'zip': (lambda: zipped(net_pth=b'x'), 'is a zip archive .*unpack it'),
    'bomb': (
        lambda: zipped(zipfile.ZIP_DEFLATED, **{'net_data.pkl': bytes(2**24)}),
        'holds more than its size',
    ),
    'gzip': (lambda: gzip.compress(saved(WEIGHTS)), 'gzip archive: unpack it'),
    'tar': (tarred, 'tar archive: unpack it'),
    'image': (lambda: b'\x89PNG\r\n\x1a\n' + bytes(20), 'is an image'),
    'sparse': (lambda: saved({'m': {'w': torch.eye(3).to_sparse()}}), r'm\.w is a sparse'),
    'quantized': (
        lambda: saved([torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)]),
        '0 is a quantized',
    ),
    'no values': (lambda: saved({'w': torch.ones(2, device='meta')}), 'w is a tensor without'),
    'repeated': (lambda: saved({'w': repeated()}), 'w is a tensor .* repeats'),
}  # fmt: skip


class Command:
    def __reduce__(self):
        return os.system, ('touch harmed',)


@pytest.mark.filterwarnings('ignore')  # of torch.jit and of quantization: their age
@pytest.mark.parametrize('kind', OTHERS)
def test_other_kinds_of_files_are_named_in_one_line(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, expected = OTHERS[kind]
    file = tmp_path / 'net.pth'
    file.write_bytes(make())
    with pytest.raises(CheckpointError, match=expected) as raised:
        read_weights_file(file)
    message = str(raised.value)
    assert message.startswith(str(file)) and '\n' not in message
    # Neither the message nor a traceback advises running the file's code.
    assert 'weights_only' not in message and 'torch.load' not in message
    assert 'weights_only' not in ''.join(traceback.format_exception(raised.value, limit=0))
    assert [path.name for path in tmp_path.iterdir()] == ['net.pth']


@pytest.mark.parametrize('suffix', ['.pth', '.ckpt', '.pt', '.safetensors', ''])
@pytest.mark.parametrize('how', ['torch', 'torch before 1.6', 'safetensors'])
def test_weights_are_read_whatever_the_file_is_called(how, suffix, tmp_path):
    make = {
        'torch': saved,
        'torch before 1.6': lambda w: saved(w, _use_new_zipfile_serialization=False),
        'safetensors': to_safetensors,
    }
    file = tmp_path / f'a{suffix}'
    file.write_bytes(make[how](WEIGHTS))
    content = read_weights_file(file)
    assert content.keys() == WEIGHTS.keys()
    assert all(torch.equal(content[name], value) for name, value in WEIGHTS.items())


def test_arguments_and_scores_beside_weights_are_data(tmp_path):
    arguments = argparse.Namespace(lr=1e-3, name='x')
    torch.save({'w': torch.ones(2), 'args': arguments, 'psnr': np.float64(3)}, tmp_path / 'a.pth')
    content = read_weights_file(tmp_path / 'a.pth')
    assert content['args'] == arguments and content['psnr'] == 3


def test_self_referencing_content_is_read(tmp_path):
    content: dict = {'w': torch.ones(2)}
    content['self'] = [content]
    torch.save(content, tmp_path / 'a.pth')
    assert read_weights_file(tmp_path / 'a.pth')['self'][0]['w'].tolist() == [1, 1]


def test_missing_and_unreadable_files_are_rejected(tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match=r'no such checkpoint: .*lost\.pth'):
        read_weights_file(tmp_path / 'lost.pth')
    os.mkfifo(tmp_path / 'pipe')
    for name in ('pipe', '.'):
        with pytest.raises(CheckpointError, match='is not a file'):
            read_weights_file(tmp_path / name)
    with pytest.raises(CheckpointError, match='cannot be read: File name too long'):
        read_weights_file(tmp_path / ('n' * 300))

    def refused(*_: object) -> None:
        raise PermissionError(13, 'Permission denied')

    (tmp_path / 'closed.pth').write_bytes(saved(WEIGHTS))
    monkeypatch.setattr('builtins.open', refused)
    with pytest.raises(CheckpointError, match=r'closed\.pth cannot be read: Permission denied'):
        read_weights_file(tmp_path / 'closed.pth')


def test_a_config_is_not_taken_for_weights_nor_a_deployed_network_for_a_checkpoint(tmp_path: Path):
    (tmp_path / 'finetune.py').write_text('model = dict()\n')
    with pytest.raises(CheckpointError, match=r'finetune\.py is a config, by its name'):
        read_weights_file(tmp_path / 'finetune.py')
    about = {'format': 'dtir_mm.deployed', 'checkpoint': 'run/iter_9.pth'}
    (tmp_path / 'd.safetensors').write_bytes(to_safetensors(WEIGHTS, about))
    with pytest.raises(CheckpointError, match=r'deployed network.* made from \(run/iter_9\.pth\)'):
        read_weights_file(tmp_path / 'd.safetensors')
    assert read_safetensors(tmp_path / 'd.safetensors')[1] == about
    for content in (saved(WEIGHTS), b'<html>'):
        (tmp_path / 'a.pth').write_bytes(content)
        with pytest.raises(CheckpointError, match=r'a\.pth is no safetensors file'):
            read_safetensors(tmp_path / 'a.pth')
