"""Photographs in Python packages and in folders."""

import pytest
from photos.sources import folder_photos, python_package_photos

from dtir_mm.image_io import read_image


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'x')


def test_python_packages_have_six_photographs():
    pytest.importorskip('skimage')
    pytest.importorskip('sklearn')
    photos = python_package_photos()
    names = ['astronaut', 'chelsea', 'coffee', 'rocket', 'china', 'flower']
    assert [photo.name.split('__')[1] for photo in photos] == names
    assert all(min(read_image(photo.file).shape[:2]) >= 300 for photo in photos)


def test_python_packages_that_are_not_installed_have_none(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert python_package_photos() == []


def test_folders_are_searched_recursively(tmp_path):
    for name in ('a.jpg', 'b/c.PNG', 'b/d/e.webp', 'b/f.txt', '.hidden.jpg', '.cache/g.jpg'):
        write(tmp_path / name)
    photos = folder_photos(tmp_path, tmp_path / 'out')
    assert [photo.name for photo in photos] == ['a', 'b__c', 'b__d__e']
    assert photos[1].file == tmp_path / 'b/c.PNG' and photos[1].source == str(tmp_path)


def test_files_with_equal_stems_get_stable_unique_names(tmp_path):
    for name in ('a.jpg', 'a.png', 'b/c.jpg', 'b__c.jpg', 'd.jpg'):
        write(tmp_path / name)
    before = {photo.file: photo.name for photo in folder_photos(tmp_path, tmp_path / 'out')}
    assert len(set(before.values())) == 5 and before[tmp_path / 'd.jpg'] == 'd'
    assert all(name.startswith(('a__', 'b__c__', 'd')) for name in before.values())
    write(tmp_path / '0.jpg')
    after = {photo.file: photo.name for photo in folder_photos(tmp_path, tmp_path / 'out')}
    assert before.items() < after.items()


def test_prepared_photographs_inside_the_folder_are_ignored(tmp_path):
    write(tmp_path / 'a.jpg')
    write(tmp_path / 'out/train/a.png')
    assert [photo.name for photo in folder_photos(tmp_path, tmp_path / 'out')] == ['a']
