"""EXIF orientation is applied if it can be read, and ignored otherwise."""

import io
import struct

import numpy as np
import pytest
import tifffile
from odd_images import ODD_ENTRIES, ORIENTED, exif_block, with_chunk
from PIL import Image

from dtir_mm.image_io import read_image, read_with_notes

pytestmark = pytest.mark.filterwarnings('ignore:.*EXIF', 'ignore:Tag data larger')
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def written(file, exif):
    """A file with that EXIF block, losslessly."""
    block = exif[6:] if file.suffix == '.png' else exif
    lossless = {'lossless': True} if file.suffix == '.webp' else {}
    Image.fromarray(PIXELS).save(file, exif=block, **lossless)
    return file


@pytest.mark.parametrize('suffix', ['.png', '.webp', '.tif'])
@pytest.mark.parametrize('orientation', ORIENTED)
def test_each_orientation_is_applied(tmp_path, suffix, orientation):
    file = tmp_path / f'a{suffix}'
    if suffix == '.tif':
        Image.fromarray(PIXELS).save(file, tiffinfo={274: orientation})
    else:
        written(file, exif_block(orientation))
    image, notes = read_with_notes(file)
    np.testing.assert_array_equal(image, ORIENTED[orientation](PIXELS))
    assert image.flags.c_contiguous and notes == []


@pytest.mark.parametrize('orientation', ORIENTED)
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_orientations_of_uncompressed_grey_tiffs(tmp_path, orientation, dtype):
    grey = PIXELS[..., 0].astype(dtype) << 8 * (np.dtype(dtype).itemsize - 1)
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / 'a.tif', grey, photometric='minisblack', extratags=tags)
    expected = ORIENTED[orientation](np.dstack([PIXELS[..., 0]] * 3))
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif'), expected)


@pytest.mark.parametrize('suffix', ['.png', '.webp'])
@pytest.mark.parametrize('odd', ODD_ENTRIES)
def test_malformed_entries_do_not_matter(tmp_path, suffix, odd):
    file = written(tmp_path / f'a{suffix}', exif_block(6, ODD_ENTRIES[odd]))
    np.testing.assert_array_equal(read_image(file), ORIENTED[6](PIXELS))


@pytest.mark.parametrize('suffix', ['.png', '.webp'])
@pytest.mark.parametrize(
    'block', [b'Exif\0\0' + b'\x12rubbish' * 10, b'Exif\0\0II*\0' + b'\xff' * 60, b'Exif\0\0']
)
def test_malformed_exif_is_ignored(tmp_path, suffix, block):
    image, notes = read_with_notes(written(tmp_path / f'a{suffix}', block))
    np.testing.assert_array_equal(image, PIXELS)
    assert set(notes) <= {'EXIF that cannot be read was ignored'}
    assert notes or b'rubbish' not in block


@pytest.mark.parametrize('value', [(3, 1, struct.pack('<H', 99)), (2, 2, b'6\0')])
def test_invalid_orientations_are_ignored_with_a_note(tmp_path, value):
    file = written(tmp_path / 'a.png', exif_block(None, (274, *value)))
    image, (note,) = read_with_notes(file)
    np.testing.assert_array_equal(image, PIXELS)
    assert note.startswith('the EXIF orientation ') and note.endswith(
        'was ignored: there are 1 to 8'
    )


def test_adobe_rgb_declared_only_in_exif_is_noted(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(34665)[40965] = {1: 'R03'}
    Image.fromarray(PIXELS).save(tmp_path / 'a.jpg', exif=exif)
    _, notes = read_with_notes(tmp_path / 'a.jpg')
    assert any('Adobe RGB' in note for note in notes)


@pytest.mark.parametrize('kind', [b'tEXt', b'iCCP', b'gAMA', b'cHRM', b'pHYs', b'eXIf', b'acTL'])
@pytest.mark.parametrize('data', [b'\x01', b'\xff\0\0\xfe' * 5])
@pytest.mark.parametrize('broken', [False, True])
def test_broken_png_chunks_are_ignored(tmp_path, kind, data, broken):
    png = io.BytesIO()
    Image.fromarray(PIXELS).save(png, 'PNG')
    file = tmp_path / 'a.png'
    file.write_bytes(with_chunk(png.getvalue(), kind, data, broken))
    image, notes = read_with_notes(file)
    np.testing.assert_array_equal(image, PIXELS)
    assert not broken or notes == ['metadata that cannot be read was ignored']


def test_truncated_pngs_are_rejected_despite_broken_metadata(tmp_path):
    png = io.BytesIO()
    Image.fromarray(PIXELS).save(png, 'PNG')
    whole = with_chunk(png.getvalue(), b'tEXt', b'x', broken=True)
    for kept in (0.5, 0.8):
        (tmp_path / 'a.png').write_bytes(whole[: int(len(whole) * kept)])
        with pytest.raises(ValueError, match=r'a\.png is a broken or unsupported image'):
            read_image(tmp_path / 'a.png')
