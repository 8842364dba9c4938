"""Image files come back with all that they held, or with a note."""

import struct
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from odd_files import make_files
from odd_images import grey_profile, icc_profile, with_chunk
from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dtir_mm.encoding.tiff import encode_tiff
from dtir_mm.image_file import ImageFile, is_written, read_image_file, write_image_file
from dtir_mm.image_io import ImageTooLargeError

ROWS, COLUMNS = np.mgrid[0:24, 0:36]
RGB = np.stack([ROWS * 10, COLUMNS * 7, 255 - ROWS * 10], axis=2).astype(np.uint8)
GREY, ALPHA = RGB[..., 0], RGB[..., 1]
PROFILE = icc_profile('Adobe')


def rewritten(path):
    """The file, read and written again beside it, and the notes on both."""
    file = read_image_file(path)
    copy = path.with_name(f'copy{path.suffix}')
    return copy, file.notes + write_image_file(copy, file)


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.jp2', '.tga'])
@pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA'])
def test_lossless_formats_keep_mode_and_pixels(tmp_path, suffix, mode):
    image = Image.fromarray(np.dstack([RGB, ALPHA]))
    image = image.convert(mode)
    image.save(tmp_path / f'a{suffix}')
    copy, notes = rewritten(tmp_path / f'a{suffix}')
    with Image.open(copy) as written:
        assert written.mode == mode and notes == []
        np.testing.assert_array_equal(np.asarray(written), np.asarray(image))


@pytest.mark.parametrize('suffix', ['.bmp', '.ppm', '.pgm'])
def test_formats_without_alpha_keep_grey_and_rgb(tmp_path, suffix):
    for array in (GREY, RGB):
        Image.fromarray(array).save(tmp_path / f'a{suffix}')
        copy, notes = rewritten(tmp_path / f'a{suffix}')
        with Image.open(copy) as written:
            np.testing.assert_array_equal(np.asarray(written), array)
        assert notes == []


@pytest.mark.parametrize(
    ('suffix', 'mode'),
    [
        ('.jpg', 'L'),
        ('.jpg', 'RGB'),
        ('.webp', 'RGB'),
        ('.webp', 'RGBA'),
        ('.avif', 'L'),
        ('.avif', 'RGB'),
        ('.avif', 'RGBA'),
    ],
)
def test_lossy_formats_keep_the_mode_if_they_have_it(tmp_path, suffix, mode):
    image = Image.fromarray(np.dstack([RGB, ALPHA])).convert(mode)
    image.save(tmp_path / f'a{suffix}', quality=95)
    copy, notes = rewritten(tmp_path / f'a{suffix}')
    with Image.open(copy) as written:
        assert written.mode == mode and notes == []
        difference = np.asarray(written.convert('RGB')).astype(int) - image.convert('RGB')
    assert np.abs(difference).mean() < 3


def test_avif_keeps_all_chroma(tmp_path):
    stripes = np.zeros((24, 36, 3), np.uint8)
    stripes[:, ::2, 0], stripes[:, 1::2, 2] = 255, 255  # red and blue
    write_image_file(tmp_path / 'a.avif', ImageFile(stripes))
    with Image.open(tmp_path / 'a.avif') as written:
        assert np.abs(np.asarray(written).astype(int) - stripes).mean() < 10


def test_jpegs_are_written_at_quality_95_with_all_chroma(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'a.jpg', quality=40)
    copy, _ = rewritten(tmp_path / 'a.jpg')
    Image.fromarray(RGB).save(tmp_path / 'b.jpg', quality=95, subsampling=0)
    with Image.open(copy) as written, Image.open(tmp_path / 'b.jpg') as expected:
        assert written.quantization == expected.quantization
        assert written.layer == expected.layer


@pytest.mark.parametrize(
    ('suffix', 'grey'),
    [
        ('.png', False),
        ('.tif', False),
        ('.jpg', False),
        ('.webp', False),
        ('.avif', False),
        ('.png', True),
        ('.tif', True),
        ('.jpg', True),
    ],
)
def test_profiles_are_kept(tmp_path, suffix, grey):
    profile = grey_profile(1.8) if grey else PROFILE
    Image.fromarray(GREY if grey else RGB).save(tmp_path / f'a{suffix}', icc_profile=profile)
    copy, notes = rewritten(tmp_path / f'a{suffix}')
    with Image.open(copy) as written:
        assert written.info['icc_profile'] == profile and notes == []


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_deep_files_keep_bits_profile_and_resolution(tmp_path, suffix, channels):
    deep = np.random.default_rng(0).integers(0, 65536, (24, 36, 4), dtype=np.uint16)
    profile = grey_profile(1.8) if channels == 1 else PROFILE
    tifffile.imwrite(
        tmp_path / 'a.tif', deep[..., 0] if channels == 1 else deep[..., :channels],
        photometric='minisblack' if channels == 1 else 'rgb', resolution=(300, 150),
        resolutionunit='INCH', iccprofile=profile, description='words', metadata=None,
        extrasamples=['unassalpha'] if channels == 4 else None,
    )  # fmt: skip
    file = read_image_file(tmp_path / 'a.tif')
    assert write_image_file(tmp_path / f'b{suffix}', file) == file.notes == []
    found = read_image_file(tmp_path / f'b{suffix}')
    np.testing.assert_array_equal(found.pixels, deep[..., : 3 if channels > 1 else 1])
    with Image.open(tmp_path / f'b{suffix}') as written:
        assert written.info['icc_profile'] == profile
        assert np.allclose(written.info['dpi'], (300, 150), atol=0.02)
        assert written.getexif()[270] == 'words'
    if suffix == '.tif':
        expected = deep[..., 0] if channels == 1 else deep[..., :channels]
        np.testing.assert_array_equal(tifffile.imread(tmp_path / 'b.tif'), expected)


def test_texts_comments_and_resolution_are_kept(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text('Title', 'a title')
    info.add_itxt('Description', 'größer', 'de')
    Image.fromarray(RGB).save(tmp_path / 'a.png', pnginfo=info, dpi=(100, 200))
    copy, notes = rewritten(tmp_path / 'a.png')
    with Image.open(copy) as written:
        assert written.text == {'Title': 'a title', 'Description': 'größer'} and notes == []
        assert np.allclose(written.info['dpi'], (100, 200), atol=0.02)
    Image.fromarray(RGB).save(tmp_path / 'a.jpg', comment=b'caf\xe9', dpi=(100, 200))
    copy, notes = rewritten(tmp_path / 'a.jpg')
    with Image.open(copy) as written:
        assert written.info['comment'] == b'caf\xe9' and written.info['dpi'] == (100, 200)
    write_image_file(tmp_path / 'b.png', read_image_file(tmp_path / 'a.jpg'))
    with Image.open(tmp_path / 'b.png') as written:
        assert written.text == {'Comment': 'café'}


@pytest.mark.parametrize('deep', [False, True])
def test_a_tiff_without_a_resolution_gets_none(tmp_path, deep):
    pixels = RGB.astype(np.uint16) * 257 if deep else RGB
    (tmp_path / 'a.tif').write_bytes(encode_tiff(pixels, None, ImageFileDirectory_v2()))
    copy, notes = rewritten(tmp_path / 'a.tif')
    with tifffile.TiffFile(copy) as tiff:
        assert not {'XResolution', 'YResolution'} & {tag.name for tag in tiff.pages[0].tags}
    assert notes == []
    write_image_file(tmp_path / 'a.jpg', read_image_file(tmp_path / 'a.tif'))
    with Image.open(tmp_path / 'a.jpg') as written:
        assert 'dpi' not in written.info


@pytest.mark.parametrize('deep', [False, True])
def test_colour_chunks_of_png_are_kept(tmp_path, deep):
    file = ImageFile(RGB.astype(np.uint16) if deep else RGB)
    write_image_file(tmp_path / 'plain.png', file)
    chunks = {b'gAMA': struct.pack('>I', 100_000), b'cICP': b'\x09\x10\0\1'}
    png = (tmp_path / 'plain.png').read_bytes()
    for kind, data in chunks.items():
        png = with_chunk(png, kind, data)
    (tmp_path / 'a.png').write_bytes(png)
    copy, notes = rewritten(tmp_path / 'a.png')
    assert notes == []
    for kind, data in chunks.items():
        assert copy.read_bytes().count(struct.pack('>I', len(data)) + kind + data) == 1


@pytest.mark.parametrize('suffix', ['gif', 'apng', 'webp', 'tif', 'avif'])
def test_animations_and_pages_are_refused(tmp_path, suffix):
    frames = [Image.fromarray(RGB // n) for n in (1, 2, 3)]
    path = tmp_path / f'several.{suffix}'
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(
        ValueError,
        match=rf'several\.{suffix} has 3 (frames; animations|pages; multi-page files) are not',
    ):
        read_image_file(path)


def test_previews_in_a_jpeg_are_no_frames(tmp_path):
    preview = Image.fromarray(RGB[::2, ::2])
    Image.fromarray(RGB).save(tmp_path / 'a.jpg', 'MPO', save_all=True, append_images=[preview])
    file = read_image_file(tmp_path / 'a.jpg')
    assert file.format == 'JPEG' and file.pixels.shape == RGB.shape
    assert file.notes == [
        'further images in the file (a preview, gain map or second view) were dropped'
    ]


@pytest.mark.parametrize('size', [(1, 1), (5000, 40), (3, 2000)])
@pytest.mark.parametrize('suffix', ['.png', '.tif', '.jpg', '.webp', '.bmp'])
def test_odd_sizes(tmp_path, size, suffix):
    pixels = np.full((size[1], size[0], 3), 200, np.uint8)
    write_image_file(tmp_path / f'a{suffix}', ImageFile(pixels))
    found = read_image_file(tmp_path / f'a{suffix}').pixels
    assert found.shape == pixels.shape and np.abs(found.astype(int) - 200).max() <= 2


@pytest.mark.parametrize('content', [b'', b'some text', b'\xff\xd8\xff\xe0'])
def test_files_that_are_no_images_are_named(tmp_path, content):
    (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(ValueError, match=rf'a\.jpg \({len(content)} bytes\) is not an image'):
        read_image_file(tmp_path / 'a.jpg')
    with pytest.raises(FileNotFoundError, match=r'no such image file: .*b\.jpg'):
        read_image_file(tmp_path / 'b.jpg')


def test_large_images_are_refused(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'a.png')
    assert read_image_file(tmp_path / 'a.png', max_pixels=24 * 36).pixels.shape == RGB.shape
    with pytest.raises(ImageTooLargeError, match=r'a\.png has 36 x 24 = 864 pixels'):
        read_image_file(tmp_path / 'a.png', max_pixels=24 * 36 - 1)


def test_an_image_beyond_the_memory_is_named(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / 'a.png')
    monkeypatch.setattr('dtir_mm.image_file.stored_pixels', lambda image: np.empty(1 << 55))
    with pytest.raises(ImageTooLargeError, match=r'a\.png has 36 x 24 = 864 pixels, too many for'):
        read_image_file(tmp_path / 'a.png')


def test_files_are_replaced_only_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / 'made' / 'a.png'
    write_image_file(path, ImageFile(RGB))
    before = path.read_bytes()
    monkeypatch.setattr('os.replace', lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_image_file(path, ImageFile(RGB // 2))
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ['a.png']


def test_suffixes_of_other_formats_are_rejected(tmp_path):
    for suffix in ('.gif', '.xyz', '.psd', ''):
        assert not is_written(suffix)
        with pytest.raises(
            ValueError, match=rf"a.*images are not written as '{suffix}'; use \.png"
        ):
            write_image_file(tmp_path / f'a{suffix}', ImageFile(RGB))
    assert not list(tmp_path.iterdir())
    for suffix in ('.PNG', '.jpeg', '.tiff', '.webp', '.bmp', '.jp2', '.ppm', '.tga'):
        assert is_written(suffix)
        write_image_file(tmp_path / f'a{suffix}', ImageFile(RGB))


def test_wrong_pixels_are_rejected(tmp_path):
    for wrong in (RGB / 255, GREY, np.dstack([RGB, ALPHA]), RGB.astype(np.int16)):
        with pytest.raises(ValueError, match=r'a\.png: pixels must be uint8 or uint16'):
            write_image_file(tmp_path / 'a.png', ImageFile(wrong))
    for wrong in (ALPHA[1:], ALPHA.astype(np.uint16)):
        with pytest.raises(ValueError, match=r'a\.png: alpha must be uint8 \(24, 36\)'):
            write_image_file(tmp_path / 'a.png', ImageFile(RGB, wrong))


def test_an_unwritable_path_is_named(tmp_path):
    (tmp_path / 'folder.png').mkdir()
    with pytest.raises(OSError, match=r'cannot write the image .*folder\.png'):
        write_image_file(tmp_path / 'folder.png', ImageFile(RGB))


@pytest.mark.filterwarnings('ignore')
def test_random_files_are_read_right_or_named(tmp_path):
    for file in make_files(tmp_path / 'files', 120, seed=7):
        try:
            found = read_image_file(file.path)
        except ValueError as error:
            assert file.image is None or file.cut or ' has 3 ' in str(error), (file.kind, error)
            continue
        pixels = found.pixels >> 8 if found.pixels.dtype == np.uint16 else found.pixels
        shown = np.broadcast_to(pixels.astype(np.uint8), (*pixels.shape[:2], 3))
        assert file.image is not None, file.kind
        assert file.shows(shown) or found.icc_profile or file.cut, file.kind
        for suffix in ('.png', '.tif'):
            write_image_file(tmp_path / f'a{suffix}', found)
            again = read_image_file(tmp_path / f'a{suffix}')
            np.testing.assert_array_equal(again.pixels, found.pixels)
            assert again.icc_profile == found.icc_profile
            assert replace(again, alpha=None, pixels=None).exif == found.exif or suffix == '.tif'
