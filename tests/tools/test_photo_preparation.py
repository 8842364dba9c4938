"""Shrinking, splitting, writing and checking photographs."""

import hashlib
import json

import numpy as np
import pytest
from photos.preparation import (
    SPLITS,
    differences,
    read_manifest,
    shrink_photo,
    split_photos,
    write_photos,
)
from photos.sources import PhotoFile

from dtir_mm.image_io import read_image, save_image


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def photo_file(folder, name, image):
    save_image(folder / f'{name}.png', image)
    return PhotoFile(name, folder / f'{name}.png', 'mine', 'CC0')


@pytest.mark.parametrize(
    ('size', 'expected', 'factor'),
    [
        ((640, 800), (320, 400), 2),
        ((1440, 2000), (720, 1000), 2),
        ((2880, 4000), (720, 1000), 4),
        ((1800, 1000), (900, 500), 2),
        ((639, 900), (639, 900), 1),
        ((100, 2000), (100, 2000), 1),
    ],
)
def test_photographs_are_shrunk_by_at_least_two_or_not_at_all(size, expected, factor):
    small, shrink = shrink_photo(np.zeros((*size, 3), np.uint8))
    assert small.shape == (*expected, 3) and shrink == factor


def test_shrinking_averages_areas():
    image = noise(640, 700)
    blocks = image.reshape(320, 2, 350, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrink_photo(image)[0] - blocks).max() <= 0.5


def counts(splits):
    return tuple(list(splits.values()).count(split) for split in SPLITS)


@pytest.mark.parametrize(
    ('total', 'expected'),
    [(3, (1, 1, 1)), (6, (4, 1, 1)), (30, (25, 2, 3)), (59, (50, 3, 6)), (60, (44, 4, 12))],
)
def test_split_sizes(total, expected):
    names = {f'p{i}': 2.0 for i in range(total)}
    assert counts(split_photos(names, 0)) == expected


def test_the_split_depends_only_on_names_and_seed():
    names = [f'p{i}' for i in range(100)]
    split = split_photos(dict.fromkeys(names, 2.0), 0)
    assert split == split_photos(dict.fromkeys(reversed(names), 2.0), 0)
    assert split != split_photos(dict.fromkeys(names, 2.0), 1)
    assert counts(split) == (83, 5, 12)


def test_photographs_for_training_only_leave_the_split_of_the_others_as_it_was():
    names = [f'p{i}' for i in range(100)]
    split = split_photos(dict.fromkeys(names, 2.0), 0)
    more = split_photos(dict.fromkeys([*names, 'a', 'z'], 2.0), 0, ['z', 'a', 'absent'])
    assert more == split | {'a': 'train', 'z': 'train'}


def test_the_test_split_prefers_shrunk_photographs():
    shrinks = {f'p{i}': 1.0 if i < 80 else 2.5 for i in range(100)}
    split = split_photos(shrinks, 0)
    assert all(shrinks[name] == 2.5 for name in split if split[name] == 'test')
    assert counts(split_photos(dict.fromkeys(shrinks, 1.0), 0)) == (83, 5, 12)


def test_too_few_photographs_are_rejected():
    with pytest.raises(ValueError, match=r'^2 usable photograph\(s\): at least 3 are needed'):
        split_photos({'a': 2.0, 'b': 2.0}, 0)


@pytest.fixture
def prepared(tmp_path):
    photos = [photo_file(tmp_path / 'in', f'p{i}', noise(150, 200 + i, i)) for i in range(4)]
    photos.append(photo_file(tmp_path / 'in', 'large', noise(640, 700)))
    red = np.full((200, 200, 3), (220, 10, 10), np.uint8)
    photos.append(photo_file(tmp_path / 'in', 'red', red))
    photos.append(photo_file(tmp_path / 'in', 'icon', noise(64, 640)))
    photos.append(PhotoFile('text', tmp_path / 'in' / 'text.jpg', 'mine', 'CC0'))
    photos[-1].file.write_text('no image')
    left_out = write_photos(photos, tmp_path / 'out', {'photos': 'in'}, seed=0)
    return tmp_path / 'out', left_out


def test_the_manifest_describes_the_written_photographs(prepared):
    folder, left_out = prepared
    manifest = json.loads((folder / 'manifest.json').read_text())
    assert manifest == read_manifest(folder) and manifest['arguments'] == {'photos': 'in'}
    records = {record['name']: record for record in manifest['photos']}
    assert records.keys() == {'p0', 'p1', 'p2', 'p3', 'large'}
    files = {file.stem: file for file in folder.glob('*/*')}
    assert files.keys() == records.keys() and {
        f.name for f in folder.iterdir() if f.is_dir()
    } == set(SPLITS)
    for name, record in records.items():
        assert files[name].parent.name == record['split']
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == record['sha256']
        assert (record['source'], record['licence']) == ('mine', 'CC0')
    assert records['large']['original_size'] == [700, 640] and records['large']['shrink'] == 2
    assert read_image(files['large']).shape == (320, 350, 3)
    assert records['large']['split'] == 'test', 'it is the only shrunk one'
    np.testing.assert_array_equal(read_image(files['p3']), noise(150, 203, 3))
    assert differences(folder, manifest) == ([], [])


def test_unusable_photographs_are_reported_with_the_reason(prepared):
    reasons = ['red.png is nearly flat', 'icon.png is too small: 640 x 64', 'text.jpg']
    assert len(prepared[1]) == 3
    assert all(reason in line for reason, line in zip(reasons, prepared[1], strict=True))


def test_too_few_usable_photographs_are_reported_with_the_reasons(tmp_path):
    photo = photo_file(tmp_path, 'icon', noise(32, 32))
    with pytest.raises(ValueError, match=r'^0 usable.*at least 3.*icon\.png is too small'):
        write_photos([photo], tmp_path / 'out', {}, 0)


def test_missing_changed_and_unknown_files_are_found(prepared):
    folder, _ = prepared
    first, second, *_ = sorted(folder.glob('train/*'))
    first.unlink()
    second.write_bytes(b'changed')
    (folder / 'train' / 'notes.txt').write_text('mine')
    broken, unknown = differences(folder, read_manifest(folder))
    assert broken == [first, second] and unknown == [folder / 'train' / 'notes.txt']


@pytest.mark.parametrize(
    'text',
    ['{', '[]', '{"photos": []}', '{"arguments": {}, "photos": [{"name": "a", "split": "../x"}]}'],
)
def test_invalid_manifests_are_rejected(tmp_path, text):
    (tmp_path / 'manifest.json').write_text(text)
    with pytest.raises(ValueError, match=r'manifest\.json is no(t JSON| manifest of photographs)'):
        read_manifest(tmp_path)


@pytest.mark.parametrize('name', ['../../x', '..', '', 'a/b', 'a\\b', 'a\0', 5])
def test_names_outside_the_folder_are_rejected_unread(prepared, name):
    folder, _ = prepared
    manifest = json.loads((folder / 'manifest.json').read_text())
    manifest['photos'][1]['name'] = name
    (folder / 'manifest.json').write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match='must be a file name without a folder') as error:
        read_manifest(folder)
    assert f'{folder / "manifest.json"} is no manifest of photographs: name={name!r}' in str(
        error.value
    )
