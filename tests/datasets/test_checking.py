"""Each fault of a data set is found and names its files; valid sets have none."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dtir_mm.datasets.checking import find_faults, images_of, inspect_image, parts_of
from dtir_mm.image_io import read_image, save_image


def image(seed: int, height: int, width: int) -> np.ndarray:
    """Patches of colour with some grain."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (height // 8, width // 8, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def sets(tmp_path):
    """Three training pairs and two test pairs, all different."""
    for seed in range(5):
        folder = tmp_path / ('train' if seed < 3 else 'test')
        clean = image(seed, 40, 56)
        save_image(folder / 'LQ' / f'{seed}.png', clean // 2)
        save_image(folder / 'GT' / f'{seed}.png', clean)
    return tmp_path


def config_of(sets: Path) -> dict:
    train, test = (
        dict(type='PairedFolderDataset', degraded=f'{sets}/{s}/LQ', clean=f'{sets}/{s}/GT')
        for s in ('train', 'test')
    )
    return dict(
        train_dataloader=dict(dataset=dict(type='TaskMixtureDataset', datasets=[train, train])),
        val_dataloader=dict(dataset=test),
        test_dataloader=dict(dataset=dict(type='dtir_mm.ConcatDataset', datasets=[test])),
    )


def faults_of(config: dict) -> list[tuple[str, str]]:
    parts, unknown = parts_of(config)
    assert unknown == []
    images = images_of(parts)
    files = {file for listed in images.values() for file in listed}
    return find_faults(parts, images, {file: inspect_image(file) for file in files})


def test_valid_data_sets_have_no_faults(sets):
    assert faults_of(config_of(sets)) == []


def test_repeated_data_sets_count_once_and_unknown_types_are_listed(sets):
    config = config_of(sets)
    config['train_dataloader']['dataset']['datasets'].append(dict(type='MyDataset', path='x'))
    parts, unknown = parts_of(config)
    assert parts == [
        ('training', sets / 'train' / 'LQ', sets / 'train' / 'GT'),
        ('test', sets / 'test' / 'LQ', sets / 'test' / 'GT'),
    ]
    assert unknown == ['MyDataset in train_dataloader']
    assert parts_of(dict(val_dataloader=None)) == ([], [])


@pytest.mark.parametrize(('gone', 'left'), [('LQ', 'GT'), ('GT', 'LQ')])
def test_missing_partners_are_found(sets, gone, left):
    (sets / 'train' / gone / '1.png').unlink()
    ((kind, message),) = faults_of(config_of(sets))
    assert kind == 'missing partner'
    assert str(sets / 'train' / left / '1.png') in message
    assert str(sets / 'train' / gone) in message


def test_truncated_files_are_found(sets):
    file = sets / 'test' / 'LQ' / '4.png'
    file.write_bytes(file.read_bytes()[:-200])
    ((kind, message),) = faults_of(config_of(sets))
    assert kind == 'unreadable' and str(file) in message


def test_different_sizes_are_found(sets):
    file = sets / 'train' / 'LQ' / '0.png'
    save_image(file, read_image(file)[:-1])
    ((kind, message),) = faults_of(config_of(sets))
    assert kind == 'sizes differ'
    assert f'{file} is 39 x 56' in message and 'GT/0.png is 40 x 56' in message


def test_test_images_in_the_training_set_are_found_after_recompression(sets):
    again = sets / 'train' / 'GT' / '2.jpg'
    save_image(again, read_image(sets / 'test' / 'GT' / '3.png'))
    (sets / 'train' / 'GT' / '2.png').unlink()
    ((kind, message),) = faults_of(config_of(sets))
    assert kind == 'duplicate'
    assert str(again) in message and str(sets / 'test' / 'GT' / '3.png') in message


def test_folders_of_clean_images_are_compared(sets):
    config = dict(
        train_dataloader=dict(dataset=dict(type='CleanPhotosDataset', folder=f'{sets}/train/GT')),
        val_dataloader=dict(dataset=dict(type='DegradedPhotosDataset', folder=f'{sets}/test/GT')),
    )
    assert faults_of(config) == []
    save_image(sets / 'test' / 'GT' / 'copy.png', read_image(sets / 'train' / 'GT' / '0.png'))
    ((kind, _),) = faults_of(config)
    assert kind == 'duplicate'


def test_two_files_of_one_stem_and_a_folder_without_images(sets):
    save_image(sets / 'train' / 'GT' / '0.bmp', read_image(sets / 'train' / 'GT' / '0.png'))
    for file in (sets / 'test' / 'LQ').iterdir():
        file.unlink()
    kinds = [kind for kind, _ in faults_of(config_of(sets))]
    assert kinds == ['same stem', 'no images', 'missing partner', 'missing partner']


def test_wrong_counts_of_known_data_sets_are_found(tmp_path):
    for kind in ('LQ', 'GT'):
        for number in range(15 if kind == 'LQ' else 14):
            save_image(
                tmp_path / f'LOL-v1/test/{kind}/{number}.png', np.full((9, 9, 3), number, np.uint8)
            )
    folder = f'{tmp_path}/LOL-v1/test'
    test = dict(type='PairedFolderDataset', degraded=f'{folder}/LQ', clean=f'{folder}/GT')
    faults = faults_of(dict(test_dataloader=dict(dataset=test)))
    assert [kind for kind, _ in faults] == ['wrong count', 'missing partner']
    assert faults[0].message == f'{folder}/GT contains 14 images, LOL-v1 (test) has 15'
