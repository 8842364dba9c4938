"""All 16 bits of PNG and TIFF files that other libraries wrote."""

import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from odd_images import ORIENTED, exif_block, with_chunk

from dtir_mm.image_file import read_image_file
from dtir_mm.image_io import read_image

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (11, 23, 4), dtype=np.uint16)


def check(file, channels, expected=DEEP):
    colours = expected[..., :1] if channels < 3 else expected[..., :3]
    assert file.pixels.dtype == np.uint16
    np.testing.assert_array_equal(file.pixels, colours)
    if channels in (2, 4):
        np.testing.assert_array_equal(file.alpha, expected[..., channels - 1])
    else:
        assert file.alpha is None


def deep_png(pixels, colour_type, *more):
    """A PNG of 16 bits, unfiltered, with further chunks."""
    height, width = pixels.shape[:2]
    head = struct.pack('>IIBBBBB', width, height, 16, colour_type, 0, 0, 0)
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in pixels)
    png = b'\x89PNG\r\n\x1a\n'
    for kind, data in ((b'IHDR', head), *more, (b'IDAT', zlib.compress(rows)), (b'IEND', b'')):
        checksum = struct.pack('>I', zlib.crc32(kind + data))
        png += struct.pack('>I', len(data)) + kind + data + checksum
    return png


@pytest.mark.parametrize(('channels', 'colour_type'), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_png(tmp_path, channels, colour_type):
    (tmp_path / 'a.png').write_bytes(deep_png(DEEP[..., :channels], colour_type))
    check(read_image_file(tmp_path / 'a.png'), channels)


@pytest.mark.parametrize('compression', [None, 'zlib'])
@pytest.mark.parametrize('channels', [1, 3, 4])
@pytest.mark.parametrize('byteorder', ['<', '>'])
def test_tiff(tmp_path, channels, compression, byteorder):
    pixels = DEEP[..., 0] if channels == 1 else DEEP[..., :channels]
    tifffile.imwrite(
        tmp_path / 'a.tif', pixels, byteorder=byteorder, compression=compression,
        photometric='minisblack' if channels == 1 else 'rgb',
        extrasamples=['unassalpha'] if channels == 4 else None,
    )  # fmt: skip
    check(read_image_file(tmp_path / 'a.tif'), channels)


def test_lzw_and_tiles(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.tif'), DEEP[..., 2::-1])  # OpenCV's default is LZW
    with tifffile.TiffFile(tmp_path / 'a.tif') as tiff:
        assert tiff.pages[0].compression == tifffile.COMPRESSION.LZW
    check(read_image_file(tmp_path / 'a.tif'), 3)
    tifffile.imwrite(tmp_path / 'b.tif', DEEP[..., :3], photometric='rgb', tile=(16, 16))
    check(read_image_file(tmp_path / 'b.tif'), 3)


@pytest.mark.parametrize('orientation', ORIENTED)
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_orientations(tmp_path, orientation, channels):
    expected = ORIENTED[orientation](DEEP)
    pixels = DEEP[..., 0] if channels == 1 else DEEP[..., :channels]
    tifffile.imwrite(
        tmp_path / 'a.tif', pixels, photometric='minisblack' if channels == 1 else 'rgb',
        extrasamples=['unassalpha'] if channels == 4 else None,
        extratags=[(274, 3, 1, orientation, True)],
    )  # fmt: skip
    check(read_image_file(tmp_path / 'a.tif'), channels, expected)
    exif = exif_block(orientation)[6:]
    png = deep_png(DEEP[..., :channels], {1: 0, 3: 2, 4: 6}[channels], (b'eXIf', exif))
    (tmp_path / 'a.png').write_bytes(png)
    check(read_image_file(tmp_path / 'a.png'), channels, expected)


@pytest.mark.parametrize(('channels', 'colour_type'), [(1, 0), (3, 2)])
def test_a_transparent_colour_becomes_alpha(tmp_path, channels, colour_type):
    pixels = DEEP[..., :channels].copy()
    pixels[0, :2] = pixels[5, 6]
    pixels[0, 1, 0] ^= 1  # differs in the lowest bit
    key = (b'tRNS', pixels[5, 6].astype('>u2').tobytes().rjust(2 * channels, b'\0'))
    (tmp_path / 'a.png').write_bytes(deep_png(pixels, colour_type, key))
    file = read_image_file(tmp_path / 'a.png')
    np.testing.assert_array_equal(file.pixels, pixels)
    expected = np.full((11, 23), 65535, np.uint16)
    expected[0, 0] = expected[5, 6] = 0
    np.testing.assert_array_equal(file.alpha, expected)


def test_white_may_be_zero(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', DEEP[..., 0], photometric='miniswhite')
    check(read_image_file(tmp_path / 'a.tif'), 1, 65535 - DEEP)


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
@pytest.mark.parametrize('kept', [0.3, 0.9])
def test_truncated_files_are_named(tmp_path, capfd, suffix, channels, kept):
    cv2.imwrite(str(tmp_path / f'a{suffix}'), DEEP[..., :channels])
    content = (tmp_path / f'a{suffix}').read_bytes()
    (tmp_path / f'a{suffix}').write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=rf'a\{suffix} (is a broken|\()'):
        read_image_file(tmp_path / f'a{suffix}')


def test_broken_metadata_is_ignored(tmp_path):
    png = with_chunk(deep_png(DEEP, 6), b'tEXt', b'x', broken=True)
    (tmp_path / 'a.png').write_bytes(png)
    file = read_image_file(tmp_path / 'a.png')
    check(file, 4)
    assert file.notes == ['metadata that cannot be read was ignored']


@pytest.mark.parametrize('wrong', [np.zeros_like(DEEP), DEEP[:, ::-1], DEEP[:4], None])
def test_without_the_low_bits_the_upper_8_are_taken(tmp_path, monkeypatch, wrong):
    (tmp_path / 'a.png').write_bytes(deep_png(DEEP, 6))
    copied = None if wrong is None else wrong.copy()
    monkeypatch.setattr(cv2, 'imdecode', lambda content, flags: copied)
    file = read_image_file(tmp_path / 'a.png')
    np.testing.assert_array_equal(np.dstack([file.pixels, file.alpha]), DEEP >> 8)
    assert file.pixels.dtype == np.uint8
    assert file.notes == ['reduced from 16 to 8 bits per channel']


def test_premultiplied_alpha_is_divided_out(tmp_path):
    straight = np.full((8, 9, 3), 40_000, np.uint16)
    alpha = np.full((8, 9, 1), 32_768, np.uint16)
    pixels = np.dstack([straight // 2, alpha])
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='rgb', extrasamples=['assocalpha'])
    file = read_image_file(tmp_path / 'a.tif')
    assert np.abs(file.pixels.astype(int) - 40_000 // 256).max() <= 1
    assert file.notes == ['reduced from 16 to 8 bits per channel']


def test_planes(tmp_path):
    planes = DEEP[..., :3].transpose(2, 0, 1).copy()
    options = {'photometric': 'rgb', 'planarconfig': 'separate'}
    tifffile.imwrite(tmp_path / 'a.tif', planes, compression='zlib', **options)
    file = read_image_file(tmp_path / 'a.tif')
    np.testing.assert_array_equal(file.pixels, DEEP[..., :3] >> 8)
    assert file.notes == ['reduced from 16 to 8 bits per channel']
    tifffile.imwrite(tmp_path / 'raw.tif', planes, **options)
    for read in (read_image_file, read_image):
        with pytest.raises(ValueError, match=r'raw\.tif .* uncompressed planes: compress it'):
            read(tmp_path / 'raw.tif')


def test_grey_and_alpha_in_tiff_is_named(tmp_path):
    options = {'planarconfig': 'contig', 'extrasamples': ['unassalpha']}
    tifffile.imwrite(tmp_path / 'a.tif', DEEP[..., :2], photometric='minisblack', **options)
    with pytest.raises(ValueError, match=r'a\.tif .* is not an image that Pillow can read'):
        read_image_file(tmp_path / 'a.tif')
