"""tools/prepare_pairs.py: links into the folders of configs, resumable, without overwriting."""

import numpy as np
import pytest

from dtir_mm.datasets import PairedFolderDataset
from dtir_mm.image_io import read_image, save_image


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.fixture
def download(tmp_path):
    """LOL-v1 as it is published, with four training pairs."""
    for number in range(4):
        for kind in ('low', 'high'):
            save_image(tmp_path / 'LOL' / 'our485' / kind / f'{number}.png', image(number))
    return tmp_path / 'LOL'


def pairs_in(folder) -> list[str]:
    pairs = PairedFolderDataset(f'{folder}/LQ', f'{folder}/GT', 'low_light', [])
    return [clean.stem for _, clean in pairs.pairs]


@pytest.mark.parametrize('options', [[], ['--copy']])
def test_a_download_is_linked_for_both_settings(tmp_path, download, run_tool, options):
    data = tmp_path / 'data'
    command = ('prepare_pairs', 'link', 'LOL-v1', 'train', download, '--data', data, *options)
    printed = run_tool(*command)
    folders = data / 'LOL-v1' / 'train', data / 'universal' / 'train' / 'low-light'
    for folder in folders:
        assert f'{folder}: 4 pairs' in printed
        assert pairs_in(folder) == list('0123')
        for kind, theirs in (('LQ', 'low'), ('GT', 'high')):
            file = folder / kind / '2.png'
            assert file.is_symlink() is not bool(options)
            assert file.read_bytes() == (download / 'our485' / theirs / '2.png').read_bytes()
    assert 'The paper has 485 pairs' in printed
    (folders[0] / 'GT' / '1.png').unlink()
    run_tool(*command)
    assert pairs_in(folders[0]) == list('0123')


def test_a_limit_links_part_of_a_download(tmp_path, download, run_tool):
    data = tmp_path / 'data'
    options = ('--data', data, '--limit', 2)
    run_tool('prepare_pairs', 'link', 'LOL-v1', 'train', download, *options)
    assert pairs_in(data / 'LOL-v1' / 'train') == ['0', '2']


def test_images_of_several_folders_are_degraded_with_masks(tmp_path, run_tool):
    for number in range(3):
        save_image(tmp_path / str(number % 2) / f'{number}.png', image(number) // 2)
    mask = np.full((24, 32, 3), 255, np.uint8)
    mask[3:5] = 0
    save_image(tmp_path / 'masks' / '000000.png', mask)
    out = tmp_path / 'out'
    clean = (tmp_path / '0', tmp_path / '1')
    command = ('prepare_pairs', 'degrade', 'inpainting', *clean, '--masks', tmp_path / 'masks')
    assert f'{out}: 3 pairs' in run_tool(*command, '--out', out, '--workers', 1)
    assert pairs_in(out) == list('012')
    for number in range(3):
        degraded = read_image(out / 'LQ' / f'{number}.png')
        expected = image(number) // 2
        expected[3:5] = 255
        np.testing.assert_array_equal(degraded, expected)


def test_errors_are_explained(tmp_path, download, failure_of):
    link = ('prepare_pairs', 'link')
    data = ('--data', tmp_path / 'data')
    assert 'no config reads' in failure_of(*link, 'LOL-v2', 'train', download, *data)
    assert 'eval15' in failure_of(*link, 'LOL-v1', 'test', download, *data)
    save_image(tmp_path / 'data' / 'LOL-v1' / 'train' / 'GT' / '3.png', image(9))
    assert 'GT/3.png exists' in failure_of(*link, 'LOL-v1', 'train', download, *data)
    clean = download / 'our485' / 'high'
    degrade = ('prepare_pairs', 'degrade', 'noisy', clean, '--out', tmp_path / 'out')
    assert 'masks' in failure_of(*degrade, '--masks', clean)
