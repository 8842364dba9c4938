"""Which files of a folder are images; all others are listed."""

import os

import pytest

from dtir_mm.datasets.image_folders import list_folder, list_images, list_tree

IMAGES = [
    'a.png', 'b.JPG', 'c.tif', 'd.jpeg', 'e.bmp', 'f.webp', 'g.tiff', 'h.gif', 'i.jfif', 'j.jpe',
    'k.avif', 'l.ppm', 'm.jp2', 'n.pgm', 'o.tga', 'p.psd', 'q.ico',
]  # fmt: skip
# Text, data, video, formats that run other programs, and names that only look like images.
OTHERS = ['notes.txt', 'png', 'x.h5', 'x.mpg', 'x.eps', 'x.wmf', '.hidden.png', 'x.heic.part']


@pytest.fixture
def folder(tmp_path):
    """Files, and the sub-folders "deep/er", ".trash" and, by a link, "linked"."""
    for name in [*IMAGES, *OTHERS, 'deep/1.png', 'deep/er/2.jfif', 'deep/er/b.txt', '.trash/3.png']:
        (tmp_path / 'in' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'in' / name).write_bytes(b'')
    (tmp_path / 'in' / 'linked').symlink_to(tmp_path / 'in' / 'deep')
    return tmp_path / 'in'


def names(folder, paths):
    return [path.relative_to(folder).as_posix() for path in paths]


def test_folders_are_split_into_images_and_other_files(folder):
    images, left_out = list_folder(folder)
    assert names(folder, images) == IMAGES
    assert names(folder, left_out) == sorted([*OTHERS, 'deep', '.trash', 'linked'])


def test_hidden_and_linked_folders_are_skipped(folder):
    images, left_out = list_tree(folder)
    assert names(folder, images) == sorted([*IMAGES, 'deep/1.png', 'deep/er/2.jfif'])
    assert names(folder, left_out) == sorted([*OTHERS, '.trash', 'deep/er/b.txt', 'linked'])
    images, left_out = list_tree(folder, without=folder / 'deep' / 'er')
    assert names(folder, images) == sorted([*IMAGES, 'deep/1.png'])
    assert 'deep/er/b.txt' not in names(folder, left_out)
    assert list_tree(folder, without=folder) == list_tree(folder), 'the folder itself is entered'


def test_skipped_files_are_logged_with_their_number(folder, monkeypatch):
    logged = []
    module = 'dtir_mm.datasets.image_folders'
    monkeypatch.setattr(f'{module}.print_log', lambda line, *_: logged.append(line))
    assert names(folder, list_images(str(folder))) == IMAGES
    (line,) = logged
    assert (
        f'{folder}: 11 skipped (not an image, hidden, or a folder): .hidden.png, .trash/, deep/'
        in line
    )
    assert line.endswith('and 6 more')


def test_broken_links_are_rejected(folder):
    os.symlink(folder / 'gone.png', folder / 'lost.png')
    assert 'lost.png' in names(folder, list_folder(folder).images)
    with pytest.raises(FileNotFoundError, match=r'1 image\(s\) of .* lead nowhere.*: lost\.png'):
        list_images(folder)


def test_folders_without_images_are_rejected_with_their_content(tmp_path):
    for missing in ('nowhere', 'notes.txt'):
        with pytest.raises(FileNotFoundError, match=f'no such folder.*{tmp_path / missing}'):
            list_images(tmp_path / missing)
        (tmp_path / 'notes.txt').write_text('')
    (tmp_path / 'GT').mkdir()
    with pytest.raises(FileNotFoundError, match=rf'no image in {tmp_path}.*\.jpg, \.png.*GT/'):
        list_images(tmp_path)
