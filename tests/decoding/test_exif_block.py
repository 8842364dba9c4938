"""EXIF and XMP are kept, with the orientation applied to the pixels reset."""

import struct

import numpy as np
import pytest
import tifffile
from odd_images import ODD_ENTRIES, ORIENTED, exif_block
from PIL import Image, PngImagePlugin
from PIL.ExifTags import IFD

from dtir_mm.decoding.exif_block import upright_exif, upright_xmp
from dtir_mm.image_file import read_image_file, write_image_file

pytestmark = pytest.mark.filterwarnings('ignore:.*EXIF', 'ignore:Tag data larger')
ROWS, COLUMNS = np.mgrid[0:12, 0:20]
PIXELS = np.stack([ROWS * 20, COLUMNS * 12, 255 - ROWS * 20], axis=2).astype(np.uint8)
MAKE, TEXT, EXIF, GPS, MAKER_NOTE, WIDTH, HEIGHT = 271, 37510, 34665, 34853, 37500, 40962, 40963
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'tiff:Make="A" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def camera_exif(orientation, endian='<'):
    """EXIF of a camera: a maker note, a place and the size of the image as stored."""
    exif = Image.Exif()
    exif.endian = endian
    exif[274], exif[MAKE] = orientation, 'Maker'
    exif[EXIF] = {
        MAKER_NOTE: b'note\0\xff\x01',
        WIDTH: 20,
        HEIGHT: 12,
        36867: '2024:05:06 07:08:09',
    }
    exif[GPS] = {1: 'N', 2: (51.0, 30.0, 12.5)}
    return exif.tobytes()


def fields(exif):
    return exif.get(274, 1), exif[MAKE], dict(exif.get_ifd(EXIF)), dict(exif.get_ifd(GPS))


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.avif', '.tif'])
@pytest.mark.parametrize('orientation', [1, 3, 6])
@pytest.mark.parametrize('endian', ['<', '>'])
def test_exif_is_kept_and_its_orientation_applied_once(tmp_path, suffix, orientation, endian):
    options = {} if suffix == '.tif' else {'quality': 95}
    block = camera_exif(orientation, endian)
    Image.fromarray(PIXELS).save(tmp_path / f'a{suffix}', exif=block, **options)
    file = read_image_file(tmp_path / f'a{suffix}')
    assert file.notes == []
    assert write_image_file(tmp_path / f'b{suffix}', file) == []
    with Image.open(tmp_path / f'b{suffix}') as written:
        written.load()
        found = fields(written.getexif())
        assert written.size == ORIENTED[orientation](PIXELS).shape[1::-1]
        difference = np.asarray(written).astype(int) - ORIENTED[orientation](PIXELS)
    assert np.abs(difference).mean() < (0.01 if suffix in ('.png', '.tif') else 4)
    assert found[:2] == (1, 'Maker')
    turned = orientation == 6 and suffix != '.tif'  # a TIFF has its size in other tags
    size = {WIDTH: 12, HEIGHT: 20} if turned else {WIDTH: 20, HEIGHT: 12}
    assert {key: found[2][key] for key in (36867, *size)} == {36867: '2024:05:06 07:08:09', **size}
    assert found[2].get(MAKER_NOTE) == b'note\0\xff\x01'
    assert found[3][1] == 'N' and tuple(map(float, found[3][2])) == (51.0, 30.0, 12.5)


def test_the_block_keeps_its_places():
    block = camera_exif(8)
    changed = upright_exif(block, turned=False)
    differ = [place for place in range(len(block)) if block[place] != changed[place]]
    assert len(changed) == len(block) and len(differ) == 1 and block[differ[0]] == 8


def test_the_thumbnail_is_unlinked():
    first = exif_block(6)
    second = struct.pack('<H', 1) + struct.pack('<HHI4s', 259, 3, 1, b'\6\0\0\0') + bytes(4)
    block = first[:-4] + struct.pack('<I', len(first) - 6) + second
    assert thumbnail_of(block) == {259: 6}
    assert thumbnail_of(upright_exif(block, turned=True)) == {}


def thumbnail_of(block):
    exif = Image.Exif()
    exif.load(block)
    dict(exif)
    return exif.get_ifd(IFD.IFD1)


@pytest.mark.parametrize('odd', ODD_ENTRIES)
def test_odd_entries_are_kept(odd):
    block = exif_block(6, ODD_ENTRIES[odd])
    expected = block.replace(struct.pack('<HHIH', 274, 3, 1, 6), struct.pack('<HHIH', 274, 3, 1, 1))
    assert upright_exif(block, turned=True) == expected
    assert upright_exif(block, turned=False) == expected


@pytest.mark.parametrize('block', [b'', b'Exif\0\0', b'rubbish' * 9, b'II*\0' + b'\xff' * 60])
def test_malformed_exif_is_a_value_error(block):
    with pytest.raises(ValueError, match='malformed EXIF'):
        upright_exif(block, turned=True)


@pytest.mark.parametrize('suffix', ['.png', '.webp', '.jpg'])
def test_malformed_exif_is_dropped_with_a_note(tmp_path, suffix):
    block = b'Exif\0\0' + b'\x12rubbish' * 10
    Image.fromarray(PIXELS).save(tmp_path / f'a{suffix}', exif=block)
    file = read_image_file(tmp_path / f'a{suffix}')
    assert file.exif is None
    assert file.notes == ['EXIF that cannot be read was ignored']


def with_xmp(file):
    options = {'xmp': XMP}
    if file.suffix == '.png':
        options = {'pnginfo': PngImagePlugin.PngInfo()}
        options['pnginfo'].add_itxt('XML:com.adobe.xmp', XMP.decode())
    elif file.suffix == '.tif':
        options = {'tiffinfo': {700: XMP}}
    Image.fromarray(PIXELS).save(file, **options)
    return file


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.tif', '.avif'])
def test_orientation_in_xmp_is_applied_once(tmp_path, suffix):
    file = read_image_file(with_xmp(tmp_path / f'a{suffix}'))
    assert write_image_file(tmp_path / f'b{suffix}', file) == file.notes == []
    with Image.open(tmp_path / f'b{suffix}') as written:
        written.load()
        assert written.size == (12, 20)
        packet = written.info['xmp']
    # Pillow removes the orientation from the XMP of a TIFF.
    kept = XMP.replace(b'tiff:Orientation="6"', b'') if suffix == '.tif' else XMP
    assert packet.split() == kept.replace(b'"6"', b'"1"').split()


def test_orientation_in_an_element_of_xmp_is_reset():
    element = b'<tiff:Orientation> 8 </tiff:Orientation>'
    assert upright_xmp(element) == element.replace(b'8', b'1')
    assert upright_xmp(b"<a tiff:Orientation = '3'>") == b"<a tiff:Orientation = '1'>"


def test_exif_as_image_magick_writes_it_to_png_is_kept(tmp_path):
    block = camera_exif(6)
    info = PngImagePlugin.PngInfo()
    info.add_text('Raw profile type exif', f'\nexif\n{len(block):8}\n{block.hex()}\n', zip=True)
    Image.fromarray(PIXELS).save(tmp_path / 'a.png', pnginfo=info)
    file = read_image_file(tmp_path / 'a.png')
    np.testing.assert_array_equal(file.pixels, ORIENTED[6](PIXELS))
    write_image_file(tmp_path / 'b.png', file)
    with Image.open(tmp_path / 'b.png') as written:
        assert fields(written.getexif())[:2] == (1, 'Maker')
        assert written.size == (12, 20) and 'Raw profile type exif' not in written.text


@pytest.mark.parametrize('tag', [33550, 34735, 65000])
def test_tiff_tags_that_are_dropped_are_noted(tmp_path, tag):
    tifffile.imwrite(
        tmp_path / 'a.tif', PIXELS, photometric='rgb', extratags=[(tag, 's', 0, 'a text', True)]
    )
    note = 'some TIFF tags, such as those of GeoTIFF, were not kept'
    assert read_image_file(tmp_path / 'a.tif').notes == [note]
