"""Colours of ICC profiles in sRGB, against the definitions of the spaces."""

import io

import numpy as np
import pytest
from odd_images import ADOBE_GAMMA, encoded, grey_profile, icc_profile, in_srgb
from PIL import Image, ImageCms

from dtir_mm.decoding.colour_profile import read_profile
from dtir_mm.image_io import read_image, read_with_notes


@pytest.fixture
def colours():
    """All of the cube, in steps of 17."""
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), -1).reshape(64, 64, 3)


@pytest.mark.parametrize('space', ['Adobe', 'P3'])
@pytest.mark.parametrize('suffix', ['.png', '.tif', '.webp'])
def test_profiles_are_converted_to_srgb(tmp_path, colours, space, suffix):
    file = tmp_path / f'a{suffix}'
    lossless = {'lossless': True} if suffix == '.webp' else {}
    Image.fromarray(colours).save(file, icc_profile=icc_profile(space, 'wide'), **lossless)
    expected = in_srgb(colours, space)
    image, notes = read_with_notes(file)
    assert np.abs(image - expected).max() <= 2.5 and np.abs(image - expected).mean() < 0.5
    assert np.abs(colours - expected).max() > 30, 'the profile does little: no test of it'
    assert notes == ["colours were converted to sRGB from the profile 'wide'"]


def test_srgb_profiles_change_nothing(tmp_path, colours):
    pillows = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    for profile in (pillows, icc_profile('sRGB')):
        Image.fromarray(colours).save(tmp_path / 'a.png', icc_profile=profile)
        image, notes = read_with_notes(tmp_path / 'a.png')
        assert (image == colours).all() and notes == []


def test_grey_profiles_apply_only_to_grey_images(tmp_path, colours):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / 'grey.png', icc_profile=grey_profile(1.8))
    image, notes = read_with_notes(tmp_path / 'grey.png')
    expected = encoded((ramp[..., None] / 255) ** (461 / 256))  # 1.8 as profiles store it
    assert np.abs(image - expected).max() <= 1.01 and np.abs(expected[..., 0] - ramp).max() > 15
    assert any('converted to sRGB' in note for note in notes)
    Image.fromarray(colours).save(tmp_path / 'rgb.png', icc_profile=grey_profile(1.0))
    image, notes = read_with_notes(tmp_path / 'rgb.png')
    assert (image == colours).all()
    assert notes == ['a colour profile that cannot be used was ignored']


def test_rgb_profiles_apply_to_grey_and_palettes(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for mode in ('L', 'P'):
        image = Image.fromarray(ramp).convert(mode)
        image.save(tmp_path / 'a.png', icc_profile=icc_profile('Adobe'))
        expected = in_srgb(np.asarray(image.convert('RGB')), 'Adobe')
        assert np.abs(read_image(tmp_path / 'a.png') - expected).max() <= 2.5
    assert np.abs(ramp / 255 - (ramp / 255) ** (ADOBE_GAMMA / 2.2)).max() < 0.01  # greys stay grey


@pytest.mark.parametrize('profile', [b'rubbish', icc_profile('P3')[:200], b'\0' * 128])
def test_broken_profiles_are_ignored_with_a_note(tmp_path, colours, profile):
    Image.fromarray(colours).save(tmp_path / 'a.png', icc_profile=profile)
    image, notes = read_with_notes(tmp_path / 'a.png')
    assert (image == colours).all()
    assert notes == ['a colour profile that cannot be used was ignored']
    with pytest.raises(ValueError, match='no usable colour profile'):
        read_profile(profile)


def test_cmyk_without_a_profile_is_converted_with_a_note(tmp_path):
    inks = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 4), np.uint8), 'CMYK')
    inks.save(tmp_path / 'a.tif')
    image, notes = read_with_notes(tmp_path / 'a.tif')
    assert (image == np.asarray(inks.convert('RGB'))).all()
    assert notes == ['CMYK was converted without a colour profile']


def test_a_profile_is_parsed_once_for_all_files(tmp_path, colours, monkeypatch):
    calls = []
    build = ImageCms.buildTransform
    monkeypatch.setattr(
        ImageCms, 'buildTransform', lambda *a, **k: calls.append(1) or build(*a, **k)
    )
    profile = icc_profile('P3', 'read once')
    for name in 'abc':
        buffer = io.BytesIO()
        Image.fromarray(colours[:4]).save(buffer, 'PNG', icc_profile=profile)
        (tmp_path / name).with_suffix('.png').write_bytes(buffer.getvalue())
        read_image(tmp_path / f'{name}.png')
    assert len(calls) == 1
