"""A folder of everything that users have: each image is restored with all it holds, or named.

Results are read with OpenCV and Pillow, and compared with what the network makes of the pixels.
"""

import json

import cv2
import numpy as np
import pytest
from odd_images import exif_block, icc_profile
from PIL import Image

from dtir_mm.models.restorers.restorer import Restorer

RNG = np.random.default_rng(5)
COARSE = RNG.integers(20, 236, (4, 5, 3), dtype=np.uint8)
RGB = cv2.resize(COARSE, (40, 30), interpolation=cv2.INTER_CUBIC)
DEEP = RGB.astype(np.uint16) * 256 + RNG.integers(0, 256, RGB.shape, dtype=np.uint16)
ALPHA = np.tile(np.arange(0, 240, 6, dtype=np.uint8), (30, 1))
ADOBE = icc_profile('Adobe', 'Adobe')
CAMERA = (271, 2, 9, b'A camera\0')
LOSSY = 6  # mean difference; other formats are exact up to rounding
QUOTED = 'it\'s "quoted".png'


def darker(values, white=255):
    """What the network below makes of values in 0..white."""
    return values.astype(np.float64) / 2 + white / 10


@pytest.fixture
def network(monkeypatch):
    """A network that halves the contrast: in -1..1, x / 2 + 0.1 is darker."""
    monkeypatch.setattr(Restorer, '_restore_padded', lambda self, image, t: image / 2 - 0.3)


@pytest.fixture
def folder(tmp_path):
    """All files; those that are no single image are ``cut.png``, ``text.jpg``, ``moving.gif``."""
    made = tmp_path / 'in ü'
    (made / 'sub' / 'deeper').mkdir(parents=True)
    rgb = Image.fromarray(RGB)
    cv2.imwrite(str(made / 'deep.png'), np.ascontiguousarray(DEEP[..., ::-1]))
    cv2.imwrite(str(made / 'deep grey.png'), DEEP[..., 0])
    cv2.imwrite(str(made / 'deep.tif'), np.ascontiguousarray(DEEP[..., ::-1]))
    Image.fromarray(np.dstack([255 - RGB, np.zeros_like(ALPHA)]), 'CMYK').save(
        made / 'inks.jpg', quality=98
    )
    palette = rgb.quantize(16)
    palette.save(made / 'palette.png', transparency=3)
    Image.fromarray(np.dstack([RGB, ALPHA])).save(made / 'rgba.png')
    Image.fromarray(RGB[..., 0]).save(made / 'grey.png')
    Image.fromarray(RGB[..., 0]).save(made / 'grey.jpg', quality=98)
    Image.fromarray(np.dstack([RGB[..., 0], ALPHA])).save(made / 'grey alpha.png')
    rgb.save(made / 'turned.jpg', exif=exif_block(6, CAMERA), quality=98)
    rgb.save(made / 'adobe.png', icc_profile=ADOBE)
    rgb.save(made / 'adobe.jpg', icc_profile=ADOBE, quality=98)
    rgb.save(made / 'web.webp', lossless=True, exif=exif_block(1, CAMERA))
    Image.fromarray(np.dstack([RGB, ALPHA])).save(made / 'web alpha.webp', lossless=True)
    rgb.save(made / 'scan.tif', icc_profile=ADOBE)
    rgb.save(made / 'bitmap.bmp')
    rgb.save(made / 'one.png')
    rgb.save(made / 'UPPER.PNG')
    rgb.save(made / QUOTED)
    rgb.save(made / f'{"long" * 50}.png')
    rgb.save(made / 'sub' / 'deeper' / 'space and ü.png')
    (made / 'link.png').symlink_to(made / 'one.png')
    Image.fromarray(RGB[:1, :1]).save(made / '1x1.png')
    wide = np.tile(RGB, (2, 125, 1))[:40]
    Image.fromarray(wide).save(made / 'wide.png')
    still = rgb.quantize(64)
    still.save(made / 'still.gif')
    still.save(made / 'moving.gif', save_all=True, append_images=[Image.fromarray(255 - RGB)])
    (made / 'cut.png').write_bytes((made / 'rgba.png').read_bytes()[:-300])
    (made / 'text.jpg').write_text('no image')
    (made / 'notes.txt').write_text('no image')
    return made


def assert_exact(result, values, white=255):
    """Rounded values of what the network makes of them."""
    assert result.dtype == (np.uint8 if white == 255 else np.uint16)
    assert np.abs(result - darker(values, white)).max() <= 0.5 + 1e-6 * white


def assert_close(result, values):
    assert result.dtype == np.uint8 and result.shape == values.shape
    assert np.abs(result - darker(values)).mean() < LOSSY


def test_every_file_is_restored_with_all_it_holds_or_named(
    toy, folder, tmp_path, network, failure_of
):
    out = tmp_path / 'out'
    message = failure_of('restore', folder, '-r', '-o', out, '--checkpoint', toy.finetune)
    failed = message.splitlines()[1:4]
    for name, line in zip(('cut.png', 'moving.gif', 'text.jpg'), failed, strict=True):
        assert line.startswith(f'  {folder / name} '), message
    assert 'frames' in failed[1]
    sources = {p.relative_to(folder) for p in folder.rglob('*') if not p.is_dir()}
    expected = {
        str(p.with_suffix('.png') if p.suffix == '.gif' else p)
        for p in sources
        if p.name not in ('cut.png', 'moving.gif', 'text.jpg', 'notes.txt')
    }
    found = {str(p.relative_to(out)) for p in out.rglob('*') if not p.is_dir()}
    assert found == expected | {'restored.json'}
    record = json.loads((out / 'restored.json').read_text())['images']
    assert set(record) == expected
    assert record['turned.jpg']['size'] == [30, 40]

    def opened(name, mode, image_format, size=(40, 30)):
        image = Image.open(out / name)
        assert (image.mode, image.format, image.size) == (mode, image_format, size)
        return image

    for name in ('deep.png', 'deep.tif'):
        assert_exact(cv2.imread(str(out / name), cv2.IMREAD_UNCHANGED)[..., ::-1], DEEP, 65535)
    assert_exact(cv2.imread(str(out / 'deep grey.png'), cv2.IMREAD_UNCHANGED), DEEP[..., 0], 65535)
    assert_close(np.asarray(opened('inks.jpg', 'RGB', 'JPEG')), RGB)
    palette = np.asarray(Image.open(folder / 'palette.png').convert('RGBA'))
    result = np.asarray(opened('palette.png', 'RGBA', 'PNG'))
    assert_exact(result[..., :3], palette[..., :3])
    np.testing.assert_array_equal(result[..., 3], palette[..., 3])
    assert set(np.unique(result[..., 3])) == {0, 255}
    result = np.asarray(opened('rgba.png', 'RGBA', 'PNG'))
    assert_exact(result[..., :3], RGB)  # also where it is transparent
    np.testing.assert_array_equal(result[..., 3], ALPHA)
    assert_exact(np.asarray(opened('grey.png', 'L', 'PNG')), RGB[..., 0])
    assert_close(np.asarray(opened('grey.jpg', 'L', 'JPEG')), RGB[..., 0])
    result = np.asarray(opened('grey alpha.png', 'LA', 'PNG'))
    assert_exact(result[..., 0], RGB[..., 0])
    np.testing.assert_array_equal(result[..., 1], ALPHA)
    turned = opened('turned.jpg', 'RGB', 'JPEG', (30, 40))
    assert_close(np.asarray(turned), np.rot90(RGB, -1))
    assert turned.getexif().get(274, 1) == 1 and turned.getexif()[271] == 'A camera'
    adobe = opened('adobe.png', 'RGB', 'PNG')
    assert_exact(np.asarray(adobe), RGB)
    assert_close(np.asarray(opened('adobe.jpg', 'RGB', 'JPEG')), RGB)
    for name in ('adobe.png', 'adobe.jpg', 'scan.tif'):
        assert Image.open(out / name).info['icc_profile'] == ADOBE
    web = opened('web.webp', 'RGB', 'WEBP')
    assert_close(np.asarray(web), RGB)
    assert web.getexif()[271] == 'A camera'
    result = np.asarray(opened('web alpha.webp', 'RGBA', 'WEBP'))
    assert_close(result[..., :3], RGB)
    np.testing.assert_array_equal(result[..., 3], ALPHA)
    assert_exact(np.asarray(opened('scan.tif', 'RGB', 'TIFF')), RGB)
    assert_exact(np.asarray(opened('bitmap.bmp', 'RGB', 'BMP')), RGB)
    for name in (
        'UPPER.PNG',
        QUOTED,
        f'{"long" * 50}.png',
        'sub/deeper/space and ü.png',
        'link.png',
    ):
        assert_exact(np.asarray(opened(name, 'RGB', 'PNG')), RGB)
    assert not (out / 'link.png').is_symlink()
    assert_exact(np.asarray(opened('1x1.png', 'RGB', 'PNG', (1, 1))), RGB[:1, :1])
    result = np.asarray(opened('wide.png', 'RGB', 'PNG', (5000, 40)))
    assert_exact(result, np.tile(RGB, (2, 125, 1))[:40])
    still = np.asarray(Image.open(folder / 'still.gif').convert('RGB'))
    assert_exact(np.asarray(opened('still.png', 'RGB', 'PNG')), still)


def test_comparisons_keep_bits_and_alpha(toy, folder, tmp_path, network, run_tool):
    names = [folder / name for name in ('deep grey.png', 'rgba.png', 'turned.jpg')]
    run_tool('restore', *names, '-o', tmp_path, '--compare', '--checkpoint', toy.finetune)
    both = cv2.imread(str(tmp_path / 'deep grey_compare.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(both[:, :40], DEEP[..., 0])
    assert_exact(both[:, 40:], DEEP[..., 0], 65535)
    both = np.asarray(Image.open(tmp_path / 'rgba_compare.png'))
    np.testing.assert_array_equal(both[:, :40], np.dstack([RGB, ALPHA]))
    assert_exact(both[:, 40:, :3], RGB)
    np.testing.assert_array_equal(both[:, 40:, 3], ALPHA)
    both = Image.open(tmp_path / 'turned_compare.png')
    assert both.size == (60, 40) and both.getexif()[271] == 'A camera'
