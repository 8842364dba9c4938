"""tools/prepare_decoded.py decodes the images of a config once."""

import shutil
from types import SimpleNamespace

import pytest

from dtir_mm.datasets import PairedFolderDataset
from dtir_mm.datasets.decoded_images import DecodedImages
from dtir_mm.datasets.layouts import generate_fixture

CONFIG = """
paired = dict(type='PairedFolderDataset', task='blurry', pipeline=[])
folders = dict(degraded='{folder}/LQ', clean='{folder}/GT')
train_dataloader = dict(dataset=dict(paired, **folders, decoded='{folder}/decoded'))
test_dataloader = dict(dataset=dict(paired, **folders))
"""


@pytest.fixture
def prepared(tmp_path):
    """A config, and the folder of its two pairs."""
    folder = generate_fixture('GoPro', tmp_path)[0]
    (tmp_path / 'config.py').write_text(CONFIG.format(folder=folder))
    return tmp_path / 'config.py', folder


def test_images_are_decoded_once_and_used_by_data_sets(prepared, run_tool, monkeypatch):
    config, folder = prepared
    printed = run_tool('prepare_decoded', config, '--workers', 1)
    assert f'{folder}/decoded: 0 of 4 images are decoded; the others take 0.0 GB' in printed
    files = {file: file.stat().st_mtime_ns for file in (folder / 'decoded').iterdir()}
    assert len(files) == 4
    assert '4 of 4 images are decoded' in run_tool('prepare_decoded', config)
    assert {file: file.stat().st_mtime_ns for file in (folder / 'decoded').iterdir()} == files

    def fails(file):
        raise AssertionError(f'{file} is decoded again')

    monkeypatch.setattr('dtir_mm.datasets.decoded_images.read_image', fails)
    pairs = PairedFolderDataset(
        f'{folder}/LQ', f'{folder}/GT', 'blurry', [], decoded=f'{folder}/decoded'
    )
    assert pairs.load(1)['clean'].shape == (48, 64, 3)


def test_errors_are_explained(prepared, failure_of, monkeypatch):
    config, folder = prepared
    options = ('--workers', 1, '--cfg-options', 'train_dataloader.dataset.decoded=')
    assert 'decoded=data/decoded' in failure_of('prepare_decoded', config, *options)
    usage = SimpleNamespace(free=10)
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: usage)
    assert 'no space' in failure_of('prepare_decoded', config, '--workers', 1)
    assert not list((folder / 'decoded').iterdir())
    broken = folder / 'GT' / '0001.png'
    broken.write_text('no image')
    assert str(broken) in failure_of('prepare_decoded', config, '--workers', 1)
    assert DecodedImages(folder / 'decoded').path_of(broken).is_file() is False
