"""Every mode of 8 bits becomes grey or RGB as stored, with or without alpha."""

import io

import cv2
import numpy as np
import pytest
import tifffile
from odd_images import PILLOW, grey_profile, icc_profile
from PIL import Image, ImageCms

from dtir_mm.image_file import read_image_file

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)
GREY, ALPHA = RGB[..., 0], RGB[..., 1]


def stored(tmp_path, image, name='a.png', **options):
    image.save(tmp_path / name, **options)
    return read_image_file(tmp_path / name)


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
@pytest.mark.parametrize(
    ('array', 'mode'),
    [
        (GREY, 'L'),
        (np.dstack([GREY, ALPHA]), 'LA'),
        (RGB, 'RGB'),
        (np.dstack([RGB, ALPHA]), 'RGBA'),
    ],
)
def test_modes_of_8_bits_stay(tmp_path, name, array, mode):
    file = stored(tmp_path, Image.fromarray(array, mode), name)
    channels = array.reshape(9, 14, -1)
    colours = channels[..., : 1 if mode[0] == 'L' else 3]
    np.testing.assert_array_equal(file.pixels, colours)
    assert file.pixels.dtype == np.uint8 and file.notes == []
    if mode.endswith('A'):
        np.testing.assert_array_equal(file.alpha, ALPHA)
    else:
        assert file.alpha is None


def test_one_bit_becomes_grey(tmp_path):
    for name in ('a.png', 'a.tif', 'a.bmp', 'a.pbm'):
        file = stored(tmp_path, Image.fromarray(GREY > 99), name)
        np.testing.assert_array_equal(file.pixels[..., 0], np.where(GREY > 99, 255, 0))
        assert file.pixels.shape == (9, 14, 1) and file.alpha is None


def test_palettes_become_rgb(tmp_path):
    palette = Image.fromarray(RGB).quantize(7)
    colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)[np.asarray(palette)]
    for name in ('a.png', 'a.tif', 'a.bmp', 'a.gif'):
        file = stored(tmp_path, palette, name)
        np.testing.assert_array_equal(file.pixels, colours)
        assert file.alpha is None


def test_transparent_entries_of_a_palette_become_alpha(tmp_path):
    palette = Image.fromarray(RGB).quantize(7)
    index = np.asarray(palette)
    colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)[index]
    file = stored(tmp_path, palette, transparency=2)
    np.testing.assert_array_equal(file.pixels, colours)
    np.testing.assert_array_equal(file.alpha, np.where(index == 2, 0, 255))
    table = bytes([255, 128, 0, 7, 200, 90, 1])
    file = stored(tmp_path, palette, transparency=table)
    np.testing.assert_array_equal(file.alpha, np.frombuffer(table, np.uint8)[index])


def test_a_transparent_colour_becomes_alpha(tmp_path):
    file = stored(tmp_path, Image.fromarray(RGB), transparency=tuple(map(int, RGB[3, 4])))
    np.testing.assert_array_equal(file.alpha, np.where((RGB == RGB[3, 4]).all(2), 0, 255))
    np.testing.assert_array_equal(file.pixels, RGB)
    file = stored(tmp_path, Image.fromarray(GREY), transparency=int(GREY[3, 4]))
    np.testing.assert_array_equal(file.alpha, np.where(GREY == GREY[3, 4], 0, 255))
    np.testing.assert_array_equal(file.pixels[..., 0], GREY)


@pytest.mark.parametrize('name', ['a.jpg', 'a.tif'])
def test_cmyk_becomes_srgb_without_its_profile(tmp_path, name):
    inks = np.dstack([255 - RGB, np.zeros_like(GREY)])
    smooth = cv2.resize(inks, (64, 48), interpolation=cv2.INTER_LINEAR)
    file = stored(tmp_path, Image.fromarray(smooth, 'CMYK'), name, icc_profile=icc_profile('P3'))
    expected = 255 - smooth[..., :3].astype(int)
    assert np.abs(file.pixels - expected).mean() < (6 if name == 'a.jpg' else 0.1)
    assert file.icc_profile is None
    assert 'CMYK became RGB, in sRGB' in file.notes


def test_ycck_jpegs_of_adobe_become_srgb(tmp_path):
    smooth = cv2.resize(RGB, (64, 48), interpolation=cv2.INTER_LINEAR)
    inks = Image.fromarray(np.dstack([255 - smooth, np.zeros((48, 64), np.uint8)]), 'CMYK')
    buffer = io.BytesIO()
    inks.save(buffer, 'JPEG', quality=95)
    jpeg = buffer.getvalue()
    marker = jpeg.index(b'\xff\xee')
    assert jpeg[marker + 4 : marker + 9] == b'Adobe' and jpeg[marker + 15] in (0, 2)
    (tmp_path / 'a.jpg').write_bytes(jpeg)
    pixels = read_image_file(tmp_path / 'a.jpg').pixels
    assert np.abs(pixels.astype(int) - smooth).mean() < 6


def test_lab_becomes_srgb(tmp_path):
    transform = ImageCms.buildTransform(
        ImageCms.createProfile('sRGB'), ImageCms.createProfile('LAB'), 'RGB', 'LAB'
    )
    lab = ImageCms.applyTransform(Image.fromarray(RGB), transform)
    file = stored(tmp_path, lab, 'a.tif')
    assert np.abs(file.pixels.astype(int) - RGB).mean() < 3
    assert file.notes == ['Lab became RGB, in sRGB']


@pytest.mark.skipif(PILLOW < 13, reason='Pillow 12 cannot read YCbCr TIFFs of its own')
def test_ycbcr_becomes_rgb(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', RGB, photometric='rgb')
    file = stored(tmp_path, Image.fromarray(RGB).convert('YCbCr'), 'b.tif')
    assert np.abs(file.pixels.astype(int) - RGB).mean() < 2


@pytest.mark.parametrize('profile', [icc_profile('Adobe'), icc_profile('P3')])
@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.webp'])
def test_profiles_are_not_applied(tmp_path, profile, name):
    lossless = {'lossless': True} if name == 'a.webp' else {}
    file = stored(tmp_path, Image.fromarray(RGB), name, icc_profile=profile, **lossless)
    np.testing.assert_array_equal(file.pixels, RGB)
    assert file.icc_profile == profile and file.notes == []


def test_grey_keeps_its_profile(tmp_path):
    file = stored(tmp_path, Image.fromarray(GREY), icc_profile=grey_profile(1.8))
    np.testing.assert_array_equal(file.pixels[..., 0], GREY)
    assert file.icc_profile == grey_profile(1.8)


@pytest.mark.parametrize('strip', [1, 14 * 4, 10**6])
def test_images_of_several_strips_are_whole(tmp_path, monkeypatch, strip):
    monkeypatch.setattr('dtir_mm.decoding.stored_pixels.STRIP', strip)
    file = stored(tmp_path, Image.fromarray(np.dstack([RGB, ALPHA])))
    np.testing.assert_array_equal(file.pixels, RGB)
    np.testing.assert_array_equal(file.alpha, ALPHA)


@pytest.mark.parametrize('mode', ['I', 'F'])
def test_32_bits_are_refused(tmp_path, mode):
    Image.new(mode, (4, 4)).save(tmp_path / 'a.tif')
    with pytest.raises(ValueError, match=rf"a\.tif is .*: its pixels are of mode '{mode}'"):
        read_image_file(tmp_path / 'a.tif')
    tifffile.imwrite(tmp_path / 'b.tif', RGB.astype(np.float32), photometric='rgb')
    with pytest.raises(ValueError, match=r'b\.tif'):
        read_image_file(tmp_path / 'b.tif')
