"""Finding photographs in unpacked packages, archives, Python packages and folders."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from dtir_mm.datasets.photo_sources import (
    PACKAGE_SETS,
    PACKAGES,
    PhotoPackage,
    carve_images,
    folder_photos,
    package_photos,
    python_package_photos,
)
from dtir_mm.image_io import read_image, save_image


def encoded(image_format, width=400, height=320, seed=0):
    """The file content of a smooth random image."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((width, height)).save(buffer, image_format)
    return buffer.getvalue()


def archive(*files):
    """What a Qt resource archive holds: a header, then each file after its length."""
    return b'qres' + b'\0' * 12 + b''.join(len(data).to_bytes(4, 'big') + data for data in files)


def write(path, content=b'x'):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_carving_gives_the_large_images_byte_for_byte():
    webp, jpeg, second = encoded('WEBP'), encoded('JPEG'), encoded('WEBP', 320, 300, seed=1)
    thumbnail, script = encoded('JPEG', 64, 48), b'function (a) { return RIFF }'
    noise = b'\xff\xd8\xff\xe0' + np.random.default_rng(0).bytes(500)
    carved = list(carve_images(archive(script, webp, noise, thumbnail, jpeg, second)))
    assert carved == [('.webp', webp), ('.jpg', jpeg), ('.webp', second)]


def test_carving_passes_over_previews_inside_images_and_cut_off_ones():
    preview = encoded('JPEG', 640, 400)
    # A chunk of metadata at the end of a WebP file, as cameras' previews come.
    chunk = b'EXIF' + (len(preview) + 4).to_bytes(4, 'little') + len(preview).to_bytes(4, 'big')
    body = encoded('WEBP')[8:] + chunk + preview + b'\0' * (len(preview) % 2)
    webp = b'RIFF' + len(body).to_bytes(4, 'little') + body
    assert list(carve_images(archive(webp))) == [('.webp', webp)]
    assert list(carve_images(archive(encoded('JPEG'))[:-200])) == []
    assert list(carve_images(b'')) == []


def test_curated_titles_are_found_and_others_left(tmp_path):
    package = PhotoPackage('walls', 'CC0', 'usr/walls/{}/images/*', ('Lake', 'Hill', 'Gone'))
    root = tmp_path / 'root' / 'usr' / 'walls'
    write(root / 'Lake/images/640.jpg', b'small')
    large = write(root / 'Lake/images/2560.jpg', b'much larger')
    (root / 'Lake/images/link.jpg').symlink_to(large)
    write(root / 'Lake/images/notes.txt', b'the largest of all of them')
    hill = write(root / 'Hill/images/1.png')
    write(root / 'Drawing/images/1.png')
    photos = package_photos(package, tmp_path / 'root', tmp_path)
    assert [(photo.name, photo.file) for photo in photos] == [
        ('walls__Lake', large),
        ('walls__Hill', hill),
    ]
    assert {(photo.source, photo.licence) for photo in photos} == {('walls', 'CC0')}


def test_archives_are_carved_by_number(tmp_path):
    images = [encoded('JPEG', seed=seed) for seed in range(4)]
    write(tmp_path / 'root/rcc/zoo.rcc', archive(*images))
    archives = {'rcc/zoo.rcc': (0, 2), 'rcc/gone.rcc': None}
    package = PhotoPackage('game', 'mixed', archives=archives)
    photos = package_photos(package, tmp_path / 'root', tmp_path)
    assert [photo.name for photo in photos] == ['game__zoo_00', 'game__zoo_02']
    assert [photo.file.read_bytes() for photo in photos] == [images[0], images[2]]
    everything = PhotoPackage('game', 'mixed', archives={'rcc/zoo.rcc': None})
    assert len(package_photos(everything, tmp_path / 'root', tmp_path)) == 4


def test_the_lists_of_packages():
    assert set(PACKAGE_SETS['small']) < set(PACKAGE_SETS['all']) == set(PACKAGES)
    for name, package in PACKAGES.items():
        assert package.name == name and package.licence
        assert bool(package.titles) == ('{}' in package.pattern)
        assert package.titles or package.archives
        assert len(set(package.titles)) == len(package.titles)
    assert sum(len(package.titles) for package in PACKAGES.values()) == 53


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
    photos = folder_photos(tmp_path)
    assert [photo.name for photo in photos] == ['a', 'b__c', 'b__d__e']
    assert photos[1].file == tmp_path / 'b/c.PNG' and photos[1].source == str(tmp_path)


def test_files_of_one_stem_get_names_of_their_own_that_do_not_depend_on_others(tmp_path):
    for name in ('a.jpg', 'a.png', 'b/c.jpg', 'b__c.jpg', 'd.jpg'):
        write(tmp_path / name)
    before = {photo.file: photo.name for photo in folder_photos(tmp_path)}
    assert len(set(before.values())) == 5 and before[tmp_path / 'd.jpg'] == 'd'
    assert all(name.startswith(('a__', 'b__c__', 'd')) for name in before.values())
    write(tmp_path / '0.jpg')
    after = {photo.file: photo.name for photo in folder_photos(tmp_path)}
    assert before.items() < after.items()


def test_prepared_photographs_inside_the_folder_are_not_taken_again(tmp_path):
    write(tmp_path / 'a.jpg')
    write(tmp_path / 'out/train/a.png')
    assert [photo.name for photo in folder_photos(tmp_path, outside=tmp_path / 'out')] == ['a']


def test_folders_without_photographs_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such folder.*nowhere'):
        folder_photos(tmp_path / 'nowhere')
    save_image(tmp_path / 'full' / 'a.png', np.zeros((8, 8, 3), np.uint8))
    shutil.move(tmp_path / 'full' / 'a.png', tmp_path / 'full' / 'a.txt')
    with pytest.raises(FileNotFoundError, match=r'no image in .*full.*\.jpg'):
        folder_photos(tmp_path / 'full')
