"""The example of a degradation of one's own: its pixels, and that its config finds it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from dtir_mm.commands.check_data import check
from dtir_mm.config import read_config
from dtir_mm.datasets.degradations import DEGRADATIONS
from dtir_mm.image_io import read_image
from dtir_mm.randomness import generator
from dtir_mm.registry import DATASETS

EXAMPLE = Path(__file__).resolve().parents[2] / 'examples' / 'custom_degradation'


@pytest.fixture
def pixelate(monkeypatch):
    """The module as ``PYTHONPATH=examples/custom_degradation`` makes it importable."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import pixelate

    yield pixelate
    del sys.modules['pixelate'], DEGRADATIONS['pixelated']


@pytest.mark.parametrize(('severity', 'sides'), [('source', {2, 3, 4}), ('target', {5, 6, 7, 8})])
def test_blocks_have_the_mean_of_their_pixels(pixelate, severity, sides):
    drawn = set()
    for seed in range(20):
        side = np.random.default_rng(seed).integers(min(sides), max(sides), endpoint=True)
        image = np.random.default_rng(0).integers(0, 256, (6 * side, 4 * side, 3), dtype=np.uint8)
        original = image.copy()
        degraded = pixelate.Pixelate(severity).degrade(image, np.random.default_rng(seed))
        means = image.reshape(6, side, 4, side, 3).mean((1, 3), keepdims=True)
        error = degraded.reshape(6, side, 4, side, 3) - means
        assert np.abs(error).max() <= 0.5 and np.array_equal(image, original)
        drawn.add(int(side))
    assert drawn == sides


def test_the_config_finds_it(pixelate, photos_dir):
    options = ['train_dataloader.dataset.max_photos=2']
    for place, split in enumerate(('train', 'val', 'test')):
        folder = photos_dir / split
        folder.mkdir()
        for i in (2 * place, 2 * place + 1):
            (photos_dir / f'photo_{i}.png').rename(folder / f'{i}.png')
        options += [f'{split}_dataloader.dataset.{key}' for key in (f'folder={folder}', 'shrink=1')]
    config = read_config(EXAMPLE / 'finetune_pixelated.py', options)
    assert check(config, workers=1) == 0

    clean = read_image(photos_dir / 'test' / '4.png')
    rng = generator(0, 'pixelated', 'source', '4', 0)
    sample = DATASETS.build(config.test_dataloader.dataset)[0]
    expected = pixelate.Pixelate().degrade(clean, rng)
    assert np.array_equal(sample['degraded'].permute(1, 2, 0), expected)
