"""Image files: what is read is what was meant, and broken files are named."""

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dtir_mm.image_io import read_image, save_image


@pytest.fixture
def picture():
    """A smooth, strongly coloured picture: (H, W, 3) = (48, 64, 3)."""
    rows, columns = np.mgrid[0:48, 0:64]
    return np.stack([rows * 5, columns * 4, 255 - rows * 5], axis=2).astype(np.uint8)


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tif', '.PNG'])
def test_lossless_formats_return_the_same_pixels(tmp_path, picture, suffix):
    path = tmp_path / 'made' / 'here' / f'a{suffix}'
    save_image(path, picture)
    np.testing.assert_array_equal(read_image(path), picture)
    assert [p.name for p in path.parent.iterdir()] == [path.name], 'a temporary file was left'


def test_jpeg_is_read_and_written_in_rgb_order(tmp_path, picture):
    save_image(tmp_path / 'a.jpg', picture)
    restored = read_image(tmp_path / 'a.jpg').astype(int)
    assert np.abs(restored - picture).mean() < 3
    opencv = cv2.imread(str(tmp_path / 'a.jpg'))[..., ::-1]
    assert np.abs(restored - opencv).max() <= 3


def test_read_image_gives_a_contiguous_writable_array(tmp_path, picture):
    save_image(tmp_path / 'a.png', picture)
    image = read_image(str(tmp_path / 'a.png'))
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable


def test_grey_palette_and_alpha_become_rgb(tmp_path, picture):
    grey = picture[..., 0]
    Image.fromarray(grey).save(tmp_path / 'grey.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'grey.png'), np.dstack([grey] * 3))
    alpha = np.dstack([picture, grey])
    Image.fromarray(alpha).save(tmp_path / 'alpha.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'alpha.png'), picture)
    flat = Image.new('RGB', (8, 8), (200, 30, 10))
    flat.convert('P', palette=Image.Palette.ADAPTIVE).save(tmp_path / 'palette.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'palette.png'), np.asarray(flat))


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_of_16_bits_the_upper_8_are_kept(tmp_path, suffix, channels):
    wide = np.random.default_rng(0).integers(0, 65536, (6, 7, channels), dtype=np.uint16)
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), wide)
    expected = (wide >> 8).astype(np.uint8)
    expected = np.repeat(expected, 3, axis=2) if channels == 1 else expected[..., 2::-1]
    np.testing.assert_array_equal(read_image(path), expected)


def test_camera_orientation_is_applied(tmp_path, picture):
    exif = Image.Exif()
    exif[274] = 6  # "turn clockwise by a quarter to view"
    Image.fromarray(picture).save(tmp_path / 'a.png', exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), np.rot90(picture, k=-1))


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.bmp'])
@pytest.mark.parametrize('kept', [0.4, 0.8])
def test_truncated_files_are_named(tmp_path, suffix, kept):
    path = tmp_path / f'cut{suffix}'
    save_image(path, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ValueError, match=rf'cut{suffix}'):
        read_image(path)


def test_a_jpeg_without_its_last_bytes_is_truncated(tmp_path, picture):
    path = tmp_path / 'cut.jpg'
    save_image(path, picture)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match='truncated'):
        read_image(path)


@pytest.mark.parametrize('content', [b'', b'<html>404 not found</html>'])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / 'page.png'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf'page\.png \({len(content)} bytes\) is no image'):
        read_image(path)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.png'):
        read_image(tmp_path / 'nowhere.png')
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        read_image(tmp_path)


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / 'float.tif')
    with pytest.raises(ValueError, match=r"float\.tif.*'F'"):
        read_image(tmp_path / 'float.tif')


def test_save_refuses_what_is_no_rgb_uint8(tmp_path, picture):
    for wrong in (picture / 255.0, picture[..., 0], np.dstack([picture, picture])):
        with pytest.raises(ValueError, match=r'a\.png.*uint8 \(H, W, 3\)'):
            save_image(tmp_path / 'a.png', wrong)
    with pytest.raises(ValueError, match=r"suffix '\.xyz'"):
        save_image(tmp_path / 'a.xyz', picture)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_path_is_named(tmp_path, picture):
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(OSError, match=r'cannot write the image .*file/a\.png'):
        save_image(tmp_path / 'file' / 'a.png', picture)
    (tmp_path / 'folder.png').mkdir()
    with pytest.raises(OSError, match=r'cannot write the image .*folder\.png'):
        save_image(tmp_path / 'folder.png', picture)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['file', 'folder.png']


def test_a_failed_save_leaves_the_old_image(tmp_path, picture, monkeypatch):
    path = tmp_path / 'a.png'
    save_image(path, picture)

    def full_disk(self, content):
        with open(self, 'wb') as half:
            half.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patched:
        patched.setattr(Path, 'write_bytes', full_disk)
        with pytest.raises(OSError, match=r'a\.png: the disk .* is full: .* needs \d+\.\d+ MiB'):
            save_image(path, 255 - picture)
    np.testing.assert_array_equal(read_image(path), picture)
    assert [p.name for p in tmp_path.iterdir()] == ['a.png']
