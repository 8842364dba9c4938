"""``dtir_mm.restore``: what it accepts, and that the result is of the same kind."""

import numpy as np
import pytest
import torch
from odd_images import icc_profile
from PIL import Image, PngImagePlugin

import dtir_mm
from dtir_mm.apis import load_restorer, restore_image, restore_pixels
from dtir_mm.apis.loading import load_with_warning
from dtir_mm.image_io import read_image, save_image

OLD = 'tests/fixtures/old_checkpoint/'
T = 8


@pytest.fixture(scope='module')
def checkpoint(pytestconfig):
    return pytestconfig.rootpath / OLD / 'unified.pth'


@pytest.fixture(scope='module')
def photo(pytestconfig):
    """RGB uint8, of which the network changes nearly every value."""
    return read_image(pytestconfig.rootpath / OLD / 'degraded.png')


@pytest.fixture(scope='module')
def restored(checkpoint, photo):
    return restore_pixels(load_restorer(checkpoint), photo, T)


def test_three_lines_restore_an_array(checkpoint, photo, restored):
    result = dtir_mm.restore(photo, checkpoint, task='rainy')
    assert (restored != photo).mean() > 0.5
    np.testing.assert_array_equal(result, restored)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(dtir_mm.restore(photo, str(checkpoint), t=T), restored)
    with pytest.raises(ValueError, match=r'knows 10 tasks .*: name one'):
        dtir_mm.restore(photo, checkpoint)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize('kind', ['HW', 'HW1', 'HW2', 'HW3', 'HW4', 'flipped', 'planes'])
def test_arrays_keep_shape_type_and_range(dtype, kind, checkpoint, photo, restored):
    white = {np.uint8: 255, np.uint16: 65535}.get(dtype, 1)
    image = photo.astype(np.float64) / 255 * white
    image = (image.round() if white > 1 else image).astype(dtype)
    alpha = image[::-1, :, 1:2]
    given = {
        'HW': image[..., 0],
        'HW1': image[..., :1],
        'HW2': np.dstack([image[..., :1], alpha]),
        'HW3': image,
        'HW4': np.dstack([image, alpha]),
        'flipped': image[::-1, ::-1][..., ::-1],
        'planes': np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0),
    }[kind]
    result = dtir_mm.restore(given, checkpoint, t=T)
    assert result.shape == given.shape and result.dtype == dtype
    if kind in ('HW2', 'HW4'):
        np.testing.assert_array_equal(result[..., -1:], alpha)
    if kind in ('HW3', 'HW4', 'planes'):
        difference = result[..., :3].astype(np.float64) / white * 255 - restored
        assert np.abs(difference).max() <= (0 if dtype == np.uint8 else 0.65)
    else:
        colours = given if kind != 'HW' else given[..., None]
        colours = colours[..., :1] if kind != 'flipped' else colours
        expected = restore_pixels(load_restorer(checkpoint), colours.copy(), T)
        np.testing.assert_array_equal(
            result.reshape(given.shape[:2] + (-1,))[..., : colours.shape[2]], expected
        )


@pytest.mark.parametrize(
    ('mode', 'becomes'),
    [
        ('1', 'L'), ('L', 'L'), ('LA', 'LA'), ('RGB', 'RGB'), ('RGBA', 'RGBA'), ('P', 'RGB'),
        ('CMYK', 'RGB'), ('YCbCr', 'RGB'), ('I;16', 'I;16'),
    ],
)  # fmt: skip
def test_pil_images_keep_their_mode(mode, becomes, checkpoint, photo):
    if mode == 'I;16':
        image = Image.fromarray(photo[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(photo).convert(mode)
    image.info['icc_profile'] = b'a profile'
    result = dtir_mm.restore(image, checkpoint, t=T)
    assert isinstance(result, Image.Image)
    assert (result.mode, result.size) == (becomes, image.size)
    # The profile does not apply to the RGB that inks became.
    assert result.info == ({} if mode == 'CMYK' else {'icc_profile': b'a profile'})
    shown = np.asarray(image if mode == becomes else image.convert(becomes))
    np.testing.assert_array_equal(np.asarray(result), dtir_mm.restore(shown, checkpoint, t=T))


def test_transparent_palettes_become_rgba(checkpoint, photo):
    image = Image.fromarray(photo).quantize(16)
    image.info['transparency'] = 3
    result = dtir_mm.restore(image, checkpoint, t=T)
    assert result.mode == 'RGBA' and 'transparency' not in result.info
    transparent = np.asarray(image) == 3
    np.testing.assert_array_equal(np.asarray(result)[..., 3], np.where(transparent, 0, 255))


def test_inks_become_srgb_by_their_profile(checkpoint, photo, tmp_path):
    Image.fromarray(photo).convert('LAB').save(tmp_path / 'a.tif')
    with Image.open(tmp_path / 'a.tif') as opened:
        opened.info['icc_profile'] = b'of Lab'
        result = dtir_mm.restore(opened, checkpoint, t=T, strength=0)
    assert result.mode == 'RGB' and 'icc_profile' not in result.info
    assert np.abs(np.asarray(result).astype(int) - photo).mean() < 3


def test_pil_images_are_turned_upright_once(checkpoint, photo, restored, tmp_path):
    exif = Image.Exif()
    exif[274], exif[271] = 6, 'A camera'
    Image.fromarray(np.rot90(photo)).save(tmp_path / 'a.png', exif=exif, dpi=(100, 200))
    with Image.open(tmp_path / 'a.png') as opened:
        result = dtir_mm.restore(opened, checkpoint, t=T)
    np.testing.assert_array_equal(np.asarray(result), restored)
    assert np.allclose(result.info['dpi'], (200, 100), atol=0.02)
    result.save(tmp_path / 'b.png', exif=result.info['exif'])
    with Image.open(tmp_path / 'b.png') as again:
        assert again.getexif()[271] == 'A camera' and again.getexif().get(274, 1) == 1


def test_the_metadata_of_a_path_is_in_info(checkpoint, photo, tmp_path):
    texts = PngImagePlugin.PngInfo()
    texts.add_text('Title', 'a title')
    texts.add_itxt('XML:com.adobe.xmp', '<x/>')
    profile = icc_profile('P3')
    image = Image.fromarray(photo)
    image.save(tmp_path / 'a.png', pnginfo=texts, dpi=(100, 200), icc_profile=profile)
    info = dtir_mm.restore(tmp_path / 'a.png', checkpoint, t=T).info
    assert np.allclose(info.pop('dpi'), (100, 200), atol=0.02)
    assert info == {'Title': 'a title', 'xmp': b'<x/>', 'icc_profile': profile}


def test_what_is_not_kept_is_logged(checkpoint, photo, monkeypatch):
    said = []
    monkeypatch.setattr(restore_image, 'print_log', lambda line, *more: said.append(line))
    dtir_mm.restore(Image.fromarray(photo).convert('CMYK'), checkpoint, t=T)
    assert said[0] == 'the PIL image: CMYK became RGB, in sRGB'


def test_a_task_that_is_new_to_a_loaded_network_is_logged(checkpoint, photo, monkeypatch):
    said = []
    monkeypatch.setattr(restore_image, 'print_log', lambda line, *more: said.append(line))
    restorer = load_restorer(checkpoint)
    restorer.trained_tasks = ('rainy', 'noisy')
    dtir_mm.restore(photo, restorer, task='noisy')
    assert said == []
    dtir_mm.restore(photo, restorer, task='hazy')
    assert said == ['the network was trained for rainy, noisy, not for hazy: expect poor images']


@pytest.mark.parametrize('dtype', ['>u2', '>f4'])
def test_arrays_of_either_byte_order_are_restored(dtype, checkpoint, photo):
    native = (photo / 255 if dtype == '>f4' else photo * 257.0).astype(dtype[1:])
    result = dtir_mm.restore(native.astype(dtype), checkpoint, t=T)
    assert result.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(result, dtir_mm.restore(native, checkpoint, t=T))


def test_paths_are_read_as_they_are_to_be_seen(checkpoint, photo, restored, tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # turned right to be seen
    exif[271] = 'A camera'
    Image.fromarray(np.rot90(photo)).save(tmp_path / 'a.png', exif=exif)
    result = dtir_mm.restore(tmp_path / 'a.png', checkpoint, t=T)
    np.testing.assert_array_equal(np.asarray(result), restored)
    kept = Image.Exif()
    kept.load(result.info['exif'])
    assert kept[271] == 'A camera' and kept.get(274, 1) == 1
    save_image(tmp_path / 'b.png', photo)
    result = dtir_mm.restore(str(tmp_path / 'b.png'), checkpoint, t=T)
    np.testing.assert_array_equal(np.asarray(result), restored)


def test_a_colour_image_of_16_bits_becomes_a_pil_image_of_8(checkpoint, photo, tmp_path):
    import cv2

    deep = photo.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / 'deep.png'), np.ascontiguousarray(deep[..., ::-1]))
    result = dtir_mm.restore(tmp_path / 'deep.png', checkpoint, t=T)
    expected = dtir_mm.restore(deep, checkpoint, t=T) >> 8
    assert result.mode == 'RGB'
    np.testing.assert_array_equal(np.asarray(result), expected)


def test_options(checkpoint, photo, restored):
    half = dtir_mm.restore(photo, checkpoint, t=T, strength=0.5)
    assert np.abs(half - (0.5 * photo + 0.5 * restored.astype(float))).max() <= 1
    np.testing.assert_array_equal(dtir_mm.restore(photo, checkpoint, t=T, strength=0), photo)
    flipped = dtir_mm.restore(photo, checkpoint, t=T, ensemble=True)
    expected = restore_pixels(load_restorer(checkpoint, ensemble=True), photo, T)
    assert (flipped == expected).all() and (flipped != restored).any()
    tiled = dtir_mm.restore(photo, checkpoint, t=T, tile=24)
    assert tiled.shape == photo.shape and (tiled != restored).any()
    restorer = load_restorer(checkpoint)
    result = dtir_mm.restore(photo, restorer, t=T, ensemble=True, tile=24, device='cpu')
    assert (result != restored).any()
    assert (restorer.ensemble, restorer.tile) == (False, None)
    np.testing.assert_array_equal(dtir_mm.restore(photo, restorer, t=T), restored)


def test_a_checkpoint_is_loaded_once_until_it_changes(checkpoint, photo, tmp_path, monkeypatch):
    loaded = []

    def counted(path):
        loaded.append(path)
        return load_with_warning(path)

    monkeypatch.setattr(restore_image, 'load_with_warning', counted)
    file = tmp_path / 'a.pth'
    file.write_bytes(checkpoint.read_bytes())
    for _ in range(3):
        dtir_mm.restore(photo, file, t=T)
    assert loaded == [file]
    file.write_bytes(checkpoint.read_bytes())
    dtir_mm.restore(photo, file, t=T)
    assert loaded == [file, file]
    monkeypatch.setattr(restore_image, 'released_model', lambda: file)
    dtir_mm.restore(photo, t=T)
    assert loaded == [file, file]


@pytest.mark.parametrize(
    ('image', 'error', 'said'),
    [
        (torch.zeros(3, 8, 8), TypeError, 'image is a tensor: pass .* such as tensor.permute'),
        ([np.zeros((8, 8, 3))], TypeError, 'image is of type builtins.list: pass a path, a PIL'),
        (None, TypeError, 'image is of type builtins.NoneType'),
        (np.zeros((8, 8, 3), np.int64), TypeError, 'an image of int64 cannot be restored'),
        (np.zeros((8, 8), bool), TypeError, 'an image of bool cannot'),
        (np.zeros((3, 8, 9)), ValueError, r'\(H, W, C\) with 1 to 4 channels, got \(3, 8, 9\)'),
        (np.zeros((2, 8, 8, 3)), ValueError, r'got \(2, 8, 8, 3\)'),
        (np.zeros(8), ValueError, r'got \(8,\)'),
        (np.zeros((0, 8, 3)), ValueError, r'of shape \(0, 8, 3\) has no pixels'),
        (np.full((8, 8), 255.0), ValueError, r'values in \[0, 1\], got 255 to 255'),
        (np.full((8, 8), -0.1), ValueError, r'values in \[0, 1\], got -0.1 to -0.1'),
        (np.full((8, 8), np.nan), ValueError, r'values in \[0, 1\], got nan'),
        (np.full((8, 8), np.inf), ValueError, r'values in \[0, 1\], got inf'),
        (Image.new('F', (8, 8)), ValueError, "mode 'F' has no defined white"),
        (Image.new('RGB', (0, 8)), ValueError, 'an image of 0 x 8 pixels cannot be restored'),
        ('nowhere.png', FileNotFoundError, 'no such image file: nowhere.png'),
    ],
)  # fmt: skip
def test_other_images_are_refused_by_one_line(image, error, said, checkpoint):
    with pytest.raises(error, match=said) as raised:
        dtir_mm.restore(image, checkpoint, t=T)
    assert '\n' not in str(raised.value)


def test_wrong_arguments_are_named(checkpoint, photo):
    with pytest.raises(TypeError, match=r'the image comes first: dtir_mm.restore\(image, rest'):
        dtir_mm.restore(load_restorer(checkpoint), photo)
    for options, said in (
        ({'t': 99}, 't=99 must be a whole number in 1..50'),
        ({'t': 3.5}, 't=3.5 must be a whole number in 1..50'),
        ({'t': '3'}, "t='3' must be a whole number in 1..50"),
        ({'t': T, 'strength': 2}, r'strength=2 must be a number in \[0, 1\]'),
        ({'t': T, 'strength': 'a'}, "strength='a' must be a number in"),
        ({'t': T, 'ensemble': 'no'}, "ensemble='no' must be True or False"),
        ({'t': T, 'precision': 'half'}, "precision='half' must be one of"),
        ({'t': T, 'device': 'tpu'}, "the device 'tpu' cannot be used"),
        ({'t': T, 'device': 'meta'}, "the device 'meta' cannot be used"),
        ({'t': T, 'tile': 1}, 'tile=1 must be a whole number of at least 2'),
        ({'t': T, 'tile': '9'}, "tile='9' must be a whole number"),
    ):
        with pytest.raises(ValueError, match=said):
            dtir_mm.restore(photo, checkpoint, **options)
    with pytest.raises(KeyError, match="unknown task 'foggy'"):
        dtir_mm.restore(photo, checkpoint, task='foggy')
