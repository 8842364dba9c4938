"""Sizes from headers are those of the samples of every data set."""

import numpy as np
import pytest
from PIL import Image

from dtir_mm.datasets import sample_sizes
from dtir_mm.datasets.sample_sizes import image_size, sample_extents
from dtir_mm.image_io import read_image, save_image
from dtir_mm.registry import DATASETS, TRANSFORMS

PACK = [dict(type='PackSample')]
FLIPPED = [dict(type='RandomFlip'), *PACK]
PATCHES = [dict(type='RandomPatch', size=20), dict(type='RandomFlipTurn'), *PACK]


@pytest.fixture
def folder(tmp_path):
    """Photographs of several sizes, one of them rotated by EXIF."""
    for i, size in enumerate([(40, 61), (33, 20), (17, 90)]):
        pixels = np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)
        save_image(tmp_path / 'photos' / f'{i}.png', pixels)
        save_image(tmp_path / 'degraded' / f'{i}.png', pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.zeros((30, 50, 3), np.uint8)
    Image.fromarray(turned).save(tmp_path / 'photos' / '3.jpg', exif=exif)
    Image.fromarray(turned).save(tmp_path / 'degraded' / '3.jpg', exif=exif)
    return tmp_path


def configs(folder) -> list[dict]:
    photos, degraded = str(folder / 'photos'), str(folder / 'degraded')
    clean = dict(type='CleanPhotosDataset', folder=photos)
    rainy = dict(type='DegradedPhotosDataset', folder=photos, task='rainy', shrink=0.7)
    pairs = dict(type='PairedFolderDataset', degraded=degraded, clean=photos, task='foggy')
    return [
        dict(clean, pipeline=PACK),
        dict(clean, shrink=0.37, pipeline=FLIPPED),
        dict(clean, pipeline=PATCHES),
        dict(rainy, severities=('source', 'target'), draws=2, pipeline=PACK),
        dict(pairs, pipeline=PACK),
        dict(
            type='ConcatDataset', datasets=[dict(pairs, pipeline=PACK), dict(rainy, pipeline=PACK)]
        ),
    ]


@pytest.mark.parametrize('number', range(6))
def test_sizes_and_files_are_those_of_the_samples(folder, number):
    dataset = DATASETS.build(configs(folder)[number])
    samples = [dataset[i] for i in range(len(dataset))]
    extents = sample_extents(dataset)
    assert [extent.size for extent in extents] == [tuple(s['clean'].shape[1:]) for s in samples]
    assert [str(extent.file) for extent in extents] == [sample['path'] for sample in samples]


def test_sizes_need_only_headers_and_patches_not_even_these(folder, monkeypatch):
    built = [DATASETS.build(config) for config in configs(folder)]
    for file in folder.rglob('*.png'):
        file.write_bytes(file.read_bytes()[:60])
    assert sample_extents(built[0])[0].size == (40, 61)
    monkeypatch.setattr(sample_sizes, 'image_size', lambda file: pytest.fail('a header was read'))
    assert {extent.size for extent in sample_extents(built[2])} == {(20, 20)}


def test_each_file_is_opened_once(folder, monkeypatch):
    opened = []
    monkeypatch.setattr(
        sample_sizes, 'image_size', lambda file: opened.append(file) or image_size(file)
    )
    sample_extents(DATASETS.build(configs(folder)[3]))
    assert len(opened) == len(set(opened)) == 4


def test_unknown_sizes_are_none(folder):
    @TRANSFORMS.register_module(force=True)
    class Enlarge:
        def __call__(self, results):
            return results

    clean = dict(type='CleanPhotosDataset', folder=str(folder / 'photos'))
    unknown = DATASETS.build(dict(clean, pipeline=[dict(type='Enlarge'), *PACK]))
    assert {extent.size for extent in sample_extents(unknown)} == {None}
    assert [extent.file for extent in sample_extents(unknown)] == unknown.files
    assert sample_extents([1, 2]) == [sample_sizes.Extent(None, None)] * 2
    (folder / 'photos' / '1.png').write_bytes(b'no image')
    assert image_size(folder / 'photos' / '1.png') is None


def test_rotated_images_have_the_size_after_rotation(folder):
    file = folder / 'photos' / '3.jpg'
    assert image_size(file) == read_image(file).shape[:2] == (50, 30)
