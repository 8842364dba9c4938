"""The config of the example for pairs of one's own, on pairs as its README arranges them."""

import json
from pathlib import Path

import numpy as np
import pytest
from natural_images import natural_image

from dtir_mm.commands.check_data import check
from dtir_mm.config import read_config
from dtir_mm.image_io import save_image
from dtir_mm.registry import DATASETS

EXAMPLE = Path(__file__).resolve().parents[2] / 'examples' / 'own_pairs'


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Of two pairs in each split, 80 x 96 pixels: fog is half white."""
    monkeypatch.chdir(tmp_path)
    for split in range(3):
        for i in range(2):
            clear = natural_image(2 * split + i, 80, 96)
            folder = tmp_path / 'my_pairs' / ('train', 'val', 'test')[split]
            save_image(folder / 'clear' / f'{i}.png', clear)
            save_image(folder / 'foggy' / f'{i}.bmp', clear // 2 + 127)
    matched = {'tasks': {'foggy': {'t_mat': 40}}}
    (tmp_path / 'my_pairs' / 'timesteps.json').write_text(json.dumps(matched))
    return read_config(EXAMPLE / 'finetune_foggy.py', None)


def test_the_data_and_the_model_fit(config, capsys):
    assert check(config, workers=1) == 0
    assert 'my_pairs/val/foggy' in capsys.readouterr().out


def test_patches_are_cut_from_both_images_of_a_pair(config):
    sample = DATASETS.build(config.train_dataloader.dataset)[0]
    assert sample['task'] == 'foggy' and sample['clean'].shape == (3, 64, 64)
    assert np.array_equal(sample['degraded'], sample['clean'] // 2 + 127)
