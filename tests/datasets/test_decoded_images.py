"""Decoded images: the same pixels, made once, never stale, and cut without being read whole."""

import os

import numpy as np
import pytest

from dtir_mm.datasets import CleanPhotosDataset, PairedFolderDataset
from dtir_mm.datasets.base_dataset import SampleKey
from dtir_mm.datasets.decoded_images import DecodedImages, decoded_bytes
from dtir_mm.image_io import read_image, save_image

PIPELINE = [dict(type='RandomPatch', size=16), dict(type='RandomFlipTurn'), dict(type='PackSample')]


@pytest.fixture
def pairs(tmp_path):
    """Folders ``LQ`` and ``GT`` of two pairs; the second is smaller than a patch."""
    rng = np.random.default_rng(0)
    for name, size in (('a.png', (40, 52)), ('b.jpg', (12, 30))):
        for kind in ('LQ', 'GT'):
            save_image(tmp_path / kind / name, rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    return tmp_path


def test_decoded_images_are_memory_mapped(pairs):
    images = DecodedImages(pairs / 'decoded')
    image = images.read(pairs / 'GT' / 'a.png')
    assert isinstance(image, np.memmap)
    np.testing.assert_array_equal(image, read_image(pairs / 'GT' / 'a.png'))
    (stored,) = (pairs / 'decoded').iterdir()
    before = stored.read_bytes()
    image[:] = 0
    del image
    assert stored.read_bytes() == before, 'transforms may work in place'


def test_a_file_is_decoded_once_and_again_when_it_changes(pairs, monkeypatch):
    decoded = []

    def counted(file):
        decoded.append(file)
        return read_image(file)

    monkeypatch.setattr('dtir_mm.datasets.decoded_images.read_image', counted)
    images, file = DecodedImages(pairs / 'decoded'), pairs / 'GT' / 'c.bmp'
    save_image(file, np.zeros((40, 52, 3), np.uint8))
    for _ in range(3):
        images.read(file)
    assert len(decoded) == 1
    other = np.full((40, 52, 3), 7, np.uint8)
    save_image(file, other)  # a BMP, as large as before
    os.utime(file, ns=(1, 1))
    np.testing.assert_array_equal(images.read(file), other)
    assert len(decoded) == 2
    linked = pairs / 'linked.bmp'
    linked.symlink_to(file)
    images.read(linked)
    assert len(decoded) == 2, 'links to one file share its array'


def test_training_sees_the_same_samples(pairs):
    folders = {'degraded': f'{pairs}/LQ', 'clean': f'{pairs}/GT', 'task': 'noisy'}
    plain = PairedFolderDataset(**folders, pipeline=PIPELINE)
    decoded = PairedFolderDataset(**folders, pipeline=PIPELINE, decoded=f'{pairs}/decoded')
    for iteration in range(3):
        for index in range(2):
            key = SampleKey(0, iteration, index, index)
            one, other = plain[key], decoded[key]
            for name in ('clean', 'degraded'):
                np.testing.assert_array_equal(one[name].numpy(), other[name].numpy())
    assert len(list((pairs / 'decoded').iterdir())) == 4
    photos = CleanPhotosDataset(f'{pairs}/GT', PIPELINE, shrink=0.5, decoded=f'{pairs}/decoded')
    reference = CleanPhotosDataset(f'{pairs}/GT', PIPELINE, shrink=0.5)
    np.testing.assert_array_equal(photos[0]['clean'].numpy(), reference[0]['clean'].numpy())


def test_broken_and_missing_files_are_rejected_without_traces(pairs):
    images = DecodedImages(pairs / 'decoded')
    broken = pairs / 'GT' / 'broken.png'
    broken.write_bytes((pairs / 'GT' / 'a.png').read_bytes()[:300])
    with pytest.raises(ValueError, match='broken.png'):
        images.read(broken)
    with pytest.raises(FileNotFoundError, match='nowhere.png'):
        images.read(pairs / 'nowhere.png')
    assert not (pairs / 'decoded').exists() or not list((pairs / 'decoded').iterdir())


def test_the_size_is_read_from_the_header(pairs):
    file = pairs / 'GT' / 'a.png'
    assert decoded_bytes(file) == read_image(file).nbytes == 40 * 52 * 3
    (pairs / 'text.png').write_text('no image')
    with pytest.raises(ValueError, match='text.png'):
        decoded_bytes(pairs / 'text.png')


@pytest.mark.parametrize('stem', ['x' * 245, os.fsdecode(b'caf\xe9'), 'two\nlines', 'é' * 120])
def test_images_with_unusual_names_are_stored(tmp_path, stem):
    file = tmp_path / f'{stem}.png'
    save_image(file, np.full((5, 6, 3), 7, np.uint8))
    kept = DecodedImages(tmp_path / 'decoded')
    assert (kept.read(file) == 7).all() and kept.path_of(file).is_file()


def test_another_version_of_the_reader_is_not_reused(tmp_path, monkeypatch):
    file = tmp_path / 'a.png'
    save_image(file, np.full((5, 6, 3), 7, np.uint8))
    kept = DecodedImages(tmp_path / 'decoded')
    before = kept.path_of(file)
    monkeypatch.setattr('dtir_mm.datasets.decoded_images.READER', 99)
    assert kept.path_of(file) != before
