"""Photographs from unpacked Debian packages and their archives, with simulated downloads."""

import io
import os

import numpy as np
import pytest
from photos import debian
from photos.debian import PhotoPackage, carve_images, package_photos
from PIL import Image


def encoded(image_format, width=400, height=320, seed=0):
    """A smooth random image as the content of a file."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((width, height)).save(buffer, image_format)
    return buffer.getvalue()


def archive(*files):
    """A Qt resource archive: a header, then the length and content of each file."""
    return b'qres' + b'\0' * 12 + b''.join(len(data).to_bytes(4, 'big') + data for data in files)


def write(path, content=b'x'):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_large_images_are_carved_byte_for_byte():
    webp, jpeg, second = encoded('WEBP'), encoded('JPEG'), encoded('WEBP', 320, 300, seed=1)
    thumbnail, script = encoded('JPEG', 64, 48), b'function (a) { return RIFF }'
    noise = b'\xff\xd8\xff\xe0' + np.random.default_rng(0).bytes(500)
    carved = list(carve_images(archive(script, webp, noise, thumbnail, jpeg, second)))
    assert carved == [('.webp', webp), ('.jpg', jpeg), ('.webp', second)]


def test_embedded_previews_and_truncated_images_are_skipped():
    preview = encoded('JPEG', 640, 400)
    # Metadata at the end of a WebP file, where cameras put previews.
    chunk = b'EXIF' + (len(preview) + 4).to_bytes(4, 'little') + len(preview).to_bytes(4, 'big')
    body = encoded('WEBP')[8:] + chunk + preview + b'\0' * (len(preview) % 2)
    webp = b'RIFF' + len(body).to_bytes(4, 'little') + body
    assert list(carve_images(archive(webp))) == [('.webp', webp)]
    assert list(carve_images(archive(encoded('JPEG'))[:-200])) == []
    assert list(carve_images(b'')) == []


def test_only_listed_titles_are_used(tmp_path):
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


def test_images_of_archives_are_selected_by_number(tmp_path):
    images = [encoded('JPEG', seed=seed) for seed in range(4)]
    write(tmp_path / 'root/rcc/zoo.rcc', archive(*images))
    archives = {'rcc/zoo.rcc': (0, 2), 'rcc/gone.rcc': None}
    package = PhotoPackage('game', 'mixed', archives=archives)
    photos = package_photos(package, tmp_path / 'root', tmp_path)
    assert [photo.name for photo in photos] == ['game__zoo_00', 'game__zoo_02']
    assert [photo.file.read_bytes() for photo in photos] == [images[0], images[2]]
    everything = PhotoPackage('game', 'mixed', archives={'rcc/zoo.rcc': None})
    assert len(package_photos(everything, tmp_path / 'root', tmp_path)) == 4


def test_packages_are_looked_up_in_fresh_package_lists(tmp_path, monkeypatch):
    """If a download fails, ``update`` and ``download`` are called with our own lists."""
    calls = []

    def apt(arguments, folder):
        calls.append(arguments)
        if arguments[0] == 'download':
            raise RuntimeError('unable to locate package')
        if arguments[-2] == 'download':
            (folder / f'{arguments[-1]}_1_all.deb').write_bytes(b'')

    unpack = tmp_path / 'bin' / 'dpkg-deb'
    unpack.parent.mkdir()
    unpack.write_text('#!/bin/sh\nmkdir "$3" && cp "$2" "$3/unpacked"\n')
    unpack.chmod(0o755)
    monkeypatch.setenv('PATH', f'{unpack.parent}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setattr(debian, 'run_apt', apt)
    for name in ('one', 'two'):
        assert (debian.fetch_package(name, tmp_path) / 'unpacked').is_file()
    own = f'Dir::State::Lists={tmp_path / "apt_lists"}'
    assert [(call[-1], own in call) for call in calls] == [
        ('one', False),
        ('update', True),
        ('one', True),
        ('two', False),
        ('two', True),
    ]


def test_missing_or_failing_apt_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(RuntimeError, match='apt-get'):
        debian.run_apt(['download', 'x'], tmp_path)
    apt = tmp_path / 'apt-get'
    apt.write_text('#!/bin/sh\necho "E: Unable to locate package x" >&2\nexit 100\n')
    apt.chmod(0o755)
    with pytest.raises(RuntimeError, match='^E: Unable to locate package x$'):
        debian.run_apt(['download', 'x'], tmp_path)
    apt.write_text('#!/bin/sh\nexit 1\n')
    with pytest.raises(RuntimeError, match='apt-get'):
        debian.run_apt(['download', 'x'], tmp_path)
