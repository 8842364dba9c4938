"""Image files are read correctly, and broken ones are named."""

import io
import os
import struct

import cv2
import numpy as np
import pytest
from odd_images import with_chunk
from PIL import Image

from dtir_mm.image_io import (
    ImageTooLargeError,
    image_suffixes,
    note_lines,
    pixel_count,
    read_image,
    read_with_notes,
    save_image,
)


@pytest.fixture
def photo():
    """A smooth, strongly coloured image: (H, W, 3) = (48, 64, 3)."""
    rows, columns = np.mgrid[0:48, 0:64]
    return np.stack([rows * 5, columns * 4, 255 - rows * 5], axis=2).astype(np.uint8)


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tif', '.PNG'])
def test_lossless_formats_return_the_same_pixels(tmp_path, photo, suffix):
    path = tmp_path / 'made' / 'here' / f'a{suffix}'
    save_image(path, photo)
    np.testing.assert_array_equal(read_image(path), photo)
    assert [p.name for p in path.parent.iterdir()] == [path.name], 'a temporary file was left'


def test_jpeg_is_read_and_written_in_rgb_order(tmp_path, photo):
    save_image(tmp_path / 'a.jpg', photo)
    restored = read_image(tmp_path / 'a.jpg').astype(int)
    assert np.abs(restored - photo).mean() < 3
    opencv = cv2.imread(str(tmp_path / 'a.jpg'))[..., ::-1]
    assert np.abs(restored - opencv).max() <= 3


def test_read_image_gives_a_contiguous_writable_array(tmp_path, photo):
    save_image(tmp_path / 'a.png', photo)
    image = read_image(str(tmp_path / 'a.png'))
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable


def test_grey_palette_and_alpha_become_rgb(tmp_path, photo):
    grey = photo[..., 0]
    Image.fromarray(grey).save(tmp_path / 'grey.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'grey.png'), np.dstack([grey] * 3))
    alpha = np.dstack([photo, grey])
    Image.fromarray(alpha).save(tmp_path / 'alpha.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'alpha.png'), photo)
    flat = Image.new('RGB', (8, 8), (200, 30, 10))
    flat.convert('P', palette=Image.Palette.ADAPTIVE).save(tmp_path / 'palette.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'palette.png'), np.asarray(flat))


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_the_upper_8_of_16_bits_are_kept(tmp_path, suffix, channels):
    wide = np.random.default_rng(0).integers(0, 65536, (6, 7, channels), dtype=np.uint16)
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), wide)
    expected = (wide >> 8).astype(np.uint8)
    expected = np.repeat(expected, 3, axis=2) if channels == 1 else expected[..., 2::-1]
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.bmp'])
@pytest.mark.parametrize('kept', [0.4, 0.8])
def test_truncated_files_are_named(tmp_path, suffix, kept):
    path = tmp_path / f'cut{suffix}'
    save_image(path, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ValueError, match=rf'cut{suffix}'):
        read_image(path)


def test_a_jpeg_without_its_last_bytes_is_truncated(tmp_path, photo):
    path = tmp_path / 'cut.jpg'
    save_image(path, photo)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match='truncated'):
        read_image(path)


@pytest.mark.parametrize('content', [b'', b'<html>404 not found</html>'])
def test_files_that_are_not_images_are_rejected(tmp_path, content):
    path = tmp_path / 'page.png'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf'page\.png \({len(content)} bytes\) is not an image'):
        read_image(path)


def test_floating_point_pixels_are_rejected(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / 'float.tif')
    with pytest.raises(ValueError, match=r"float\.tif.*'F'"):
        read_image(tmp_path / 'float.tif')


def test_saving_requires_rgb_uint8(tmp_path, photo):
    for wrong in (photo / 255.0, photo[..., 0], np.dstack([photo, photo])):
        with pytest.raises(ValueError, match=r'a\.png.*uint8 \(H, W, 3\)'):
            save_image(tmp_path / 'a.png', wrong)
    with pytest.raises(ValueError, match=r"suffix '\.xyz'"):
        save_image(tmp_path / 'a.xyz', photo)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_path_is_named(tmp_path, photo):
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(OSError, match=r'cannot write the image .*file/a\.png'):
        save_image(tmp_path / 'file' / 'a.png', photo)
    (tmp_path / 'folder.png').mkdir()
    with pytest.raises(OSError, match=r'cannot write the image .*folder\.png'):
        save_image(tmp_path / 'folder.png', photo)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['file', 'folder.png']


def noted(path):
    image, notes = read_with_notes(path)
    assert (image == read_image(path)).all()
    return notes


def test_conversions_are_noted(tmp_path, photo):
    grey = photo[..., 0]
    Image.fromarray(photo).save(tmp_path / 'plain.png')
    assert noted(tmp_path / 'plain.png') == []
    Image.fromarray(grey).save(tmp_path / 'grey.png')
    assert noted(tmp_path / 'grey.png') == ['grey was repeated over three channels']
    cv2.imwrite(str(tmp_path / 'deep.png'), photo.astype(np.uint16) * 257)
    assert noted(tmp_path / 'deep.png') == ['reduced from 16 to 8 bits per channel']
    transparency = ['transparency was dropped, the colours below it are kept']
    Image.fromarray(np.dstack([photo, grey])).save(tmp_path / 'alpha.png')
    assert noted(tmp_path / 'alpha.png') == transparency
    Image.fromarray(np.dstack([photo, grey * 0 + 255])).save(tmp_path / 'opaque.png')
    assert noted(tmp_path / 'opaque.png') == []
    Image.fromarray(photo).quantize(8).save(tmp_path / 'palette.png', transparency=0)
    assert noted(tmp_path / 'palette.png') == transparency
    frames = [Image.fromarray(photo), Image.fromarray(255 - photo)]
    for suffix in ('.tif', '.png', '.webp', '.gif'):
        file = tmp_path / f'frames{suffix}'
        frames[0].save(file, save_all=True, append_images=frames[1:])
        assert noted(file) == ['of several frames or pages the first was taken']
    np.testing.assert_array_equal(read_image(tmp_path / 'frames.tif'), photo)


def test_ignored_png_gamma_is_noted(tmp_path, photo):
    png = io.BytesIO()
    Image.fromarray(photo).save(png, 'PNG')
    for value, notes in ((45455, []), (100000, ['a gamma of 1.000 was ignored'])):
        content = with_chunk(png.getvalue(), b'gAMA', struct.pack('>I', value))
        (tmp_path / 'a.png').write_bytes(content)
        assert noted(tmp_path / 'a.png') == notes


@pytest.mark.parametrize('suffix', ['.pgm', '.jp2'])
def test_16_bits_of_grey_are_read_from_every_format_that_has_them(tmp_path, suffix):
    wide = np.random.default_rng(0).integers(0, 65536, (40, 50), dtype=np.uint16)
    path = tmp_path / f'a{suffix}'
    if suffix == '.pgm':
        path.write_bytes(b'P5 50 40 65535\n' + wide.astype('>u2').tobytes())
    else:
        Image.fromarray(wide).save(path)
    np.testing.assert_array_equal(read_image(path), np.dstack([(wide >> 8).astype(np.uint8)] * 3))
    assert 'reduced from 16 to 8 bits per channel' in noted(path)


def test_images_of_more_than_one_strip_are_whole(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 33, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    for strip in (1, 33 * 7, 10**6):
        monkeypatch.setattr('dtir_mm.decoding.pixels.STRIP', strip)
        np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), pixels[..., :3])


def test_too_many_pixels_are_rejected_before_they_are_decoded(tmp_path, monkeypatch):
    file = tmp_path / 'map.png'
    Image.new('L', (400, 300)).save(file)
    file.write_bytes(file.read_bytes()[:-40])  # decoding it would fail
    with pytest.raises(ImageTooLargeError) as caught:
        read_image(file, max_pixels=119_999)
    for word in (
        str(file),
        '400 x 300 = 120000',
        '119999',
        'dtir-mm restore --max-pixels',
        'DTIR_MAX_PIXELS',
    ):
        assert word in str(caught.value)
    with pytest.raises(ValueError, match='broken'):
        read_image(file, max_pixels=120_000)
    monkeypatch.setenv('DTIR_MAX_PIXELS', '1000')
    with pytest.raises(ImageTooLargeError, match='more than the 1000'):
        read_image(file)
    monkeypatch.setenv('DTIR_MAX_PIXELS', 'many')
    with pytest.raises(ValueError, match="DTIR_MAX_PIXELS='many' must be a number of pixels"):
        read_image(file)


def test_pillows_pixel_limit_does_not_apply(tmp_path, photo, monkeypatch):
    save_image(tmp_path / 'a.png', photo)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    assert (read_image(tmp_path / 'a.png') == photo).all()
    assert Image.MAX_IMAGE_PIXELS == 100, "Pillow's limit is left as it was for others"
    assert pixel_count(tmp_path / 'a.png') == 48 * 64


def test_only_listed_formats_are_read_whatever_the_suffix(tmp_path):
    page = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n'
    (tmp_path / 'a.png').write_bytes(page)
    with pytest.raises(ValueError, match=r'a\.png \(\d+ bytes\) is not an image'):
        read_image(tmp_path / 'a.png')
    assert not {'.eps', '.ps', '.h5', '.mpg', '.wmf'} & image_suffixes().keys()
    assert {'.png', '.jpe', '.jfif', '.ppm', '.tif', '.gif'} <= image_suffixes().keys()


def test_broken_links_are_named_with_their_target(tmp_path):
    (tmp_path / 'a.png').symlink_to('gone.png')
    with pytest.raises(FileNotFoundError, match=r'a\.png \(a link to gone\.png\)'):
        read_image(tmp_path / 'a.png')


def test_notes_are_counted_with_the_first_names(tmp_path):
    notes = [(tmp_path / f'{i}.png', 'grey') for i in range(7)] + [(tmp_path / '0.png', 'odd')]
    named = ', '.join(str(tmp_path / f'{i}.png') for i in range(5))
    assert note_lines(notes) == [
        f'grey: 7 image(s): {named} and 2 more',
        f'odd: 1 image(s): {tmp_path / "0.png"}',
    ]


def test_missing_files_are_distinguished_from_folders_and_pipes(tmp_path):
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'folder.png').mkdir()
    for name in ('pipe.png', 'folder.png'):
        with pytest.raises(FileNotFoundError, match=rf'{name} \(it is not a regular file\)'):
            read_image(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r'no such image file: .*none\.png$'):
        read_image(tmp_path / 'none.png')
