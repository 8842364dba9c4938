"""What a format cannot hold is converted or dropped, with a note."""

import struct

import numpy as np
import pytest
from odd_images import ODD_ENTRIES, encoded, exif_block, grey_profile, icc_profile, in_srgb

from dtir_mm.decoding.metadata import Metadata
from dtir_mm.encoding.fitting import Content, fitted

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (9, 14), dtype=np.uint8)


def fit(image_format, pixels=RGB, alpha=None, **metadata):
    content, notes = fitted(Content(pixels, alpha, Metadata(**metadata)), image_format)
    return *content, notes


@pytest.mark.parametrize('image_format', ['PNG', 'TIFF'])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [1, 3])
def test_png_and_tiff_hold_all(image_format, dtype, channels):
    pixels, alpha = RGB[..., :channels].astype(dtype), ALPHA.astype(dtype)
    metadata = {'icc_profile': icc_profile('P3'), 'dpi': (72.0, 72.0), 'xmp': b'<x/>'}
    assert fit(image_format, pixels, alpha, **metadata) == (pixels, alpha, Metadata(**metadata), [])


def test_the_upper_8_of_16_bits_are_written():
    deep = RNG.integers(0, 65536, (9, 14, 3), dtype=np.uint16)
    pixels, alpha, _, notes = fit('WEBP', deep, deep[..., 0])
    np.testing.assert_array_equal(pixels, deep >> 8)
    np.testing.assert_array_equal(alpha, deep[..., 0] >> 8)
    assert pixels.dtype == alpha.dtype == np.uint8
    assert notes == ['WebP holds 8 bits per channel: reduced from 16 bits']


@pytest.mark.parametrize('image_format', ['JPEG', 'BMP', 'PPM'])
def test_transparency_is_dropped_with_a_note_if_there_is_any(image_format):
    _, alpha, _, notes = fit(image_format, alpha=ALPHA)
    assert alpha is None
    assert notes == [f'{image_format} is written without transparency: it was dropped']
    _, alpha, _, notes = fit(image_format, alpha=np.full_like(ALPHA, 255))
    assert alpha is None and notes == []


def test_grey_becomes_rgb_in_webp():
    pixels, _, _, notes = fit('WEBP', RGB[..., :1])
    np.testing.assert_array_equal(pixels, np.repeat(RGB[..., :1], 3, axis=2))
    assert notes == ['WebP holds no grey: it was written as RGB']


@pytest.mark.parametrize('space', ['Adobe', 'P3'])
def test_without_a_profile_colours_become_srgb(space):
    pixels, _, metadata, notes = fit('BMP', icc_profile=icc_profile(space))
    assert np.abs(pixels - in_srgb(RGB, space)).max() <= 2.5
    assert metadata.icc_profile is None
    assert notes == ['BMP is written without a profile: colours became sRGB']
    pixels, _, metadata, notes = fit('BMP', icc_profile=icc_profile('sRGB'))
    assert (pixels == RGB).all() and metadata.icc_profile is None and notes == []


@pytest.mark.parametrize('image_format', ['WEBP', 'PPM'])
def test_grey_of_a_profile_becomes_srgb(image_format):
    grey = RGB[..., :1]
    pixels, _, metadata, notes = fit(image_format, grey, icc_profile=grey_profile(1.8))
    expected = encoded((grey / 255) ** (461 / 256))  # 1.8 as profiles store it
    assert pixels.shape[2] == (3 if image_format == 'WEBP' else 1)
    assert np.abs(pixels - expected).max() <= 1.01 and metadata.icc_profile is None
    name = 'WebP' if image_format == 'WEBP' else image_format
    assert notes[0] == f'{name} is written without a profile: colours became sRGB'


@pytest.mark.parametrize('profile', [b'rubbish', grey_profile(1.8)])
def test_unusable_profiles_are_dropped_with_a_note(profile):
    pixels, _, metadata, notes = fit('BMP', icc_profile=profile)
    assert (pixels == RGB).all() and metadata.icc_profile is None
    assert notes == ['a colour profile that cannot be used was not kept']


def test_metadata_that_a_format_does_not_hold_is_noted():
    held = {'exif': b'Exif\0\0', 'xmp': b'<x/>', 'dpi': (72.0, 72.0), 'comment': b'c'}
    *_, notes = fit('PPM', texts=(('a', 'b'),), **held)
    without = ('EXIF', 'XMP', 'its dpi', 'the texts of PNG', 'its comment')
    assert notes == [f'PPM is written without {what}' for what in without]


def test_gamma_is_noted_unless_it_is_that_of_srgb():
    note = ['gamma, primaries or HDR transfer of a PNG were not kept']
    gamma = [(b'gAMA', struct.pack('>I', value)) for value in (45455, 100_000)]
    assert fit('JPEG', colour_chunks=(gamma[0],))[-1] == []
    assert fit('JPEG', colour_chunks=(gamma[1],))[-1] == note
    assert fit('JPEG', colour_chunks=((b'sRGB', b'\0'), gamma[0]))[-1] == []
    assert fit('JPEG', colour_chunks=((b'cICP', b'\x09\x10\0\1'),))[-1] == note
    assert fit('PNG', colour_chunks=(gamma[1],))[-1] == []


@pytest.mark.parametrize(('name', 'label'), [('exif', 'EXIF'), ('xmp', 'XMP')])
def test_jpeg_holds_64_kb(name, label):
    _, _, metadata, notes = fit('JPEG', **{name: bytes(70_000)})
    assert getattr(metadata, name) is None
    assert notes == [f'JPEG holds at most 64 KB of {label}: it was dropped']


@pytest.mark.parametrize('image_format', ['TIFF', 'AVIF'])
def test_malformed_exif_is_dropped_where_it_would_be_parsed(image_format):
    block = exif_block(1, ODD_ENTRIES['a text for a number'])
    *_, metadata, notes = fit(image_format, exif=block)
    assert metadata.exif is None
    assert notes == [f'malformed EXIF, which cannot be written to {image_format}, was dropped']
