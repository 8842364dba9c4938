"""PNG files of 16 bits, as other libraries read them."""

import io

import cv2
import numpy as np
import pytest
from odd_images import icc_profile
from PIL import Image

from dtir_mm.encoding.deep_png import encode_deep_png

DEEP = np.random.default_rng(0).integers(0, 65536, (13, 17, 4), dtype=np.uint16)


def metadata(**options):
    file = io.BytesIO()
    Image.new('L', (1, 1)).save(file, 'PNG', **options)
    return file.getvalue()


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
@pytest.mark.parametrize('strip', [1, 17 * 5, 10**6])
def test_opencv_reads_the_same_pixels(monkeypatch, channels, strip):
    monkeypatch.setattr('dtir_mm.encoding.deep_png._STRIP', strip)
    pixels = DEEP[..., :1] if channels < 3 else DEEP[..., :3]
    alpha = DEEP[..., 3] if channels in (2, 4) else None
    png = encode_deep_png(pixels, alpha, metadata())
    found = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16
    if channels == 1:
        np.testing.assert_array_equal(found, pixels[..., 0])
    else:
        np.testing.assert_array_equal(found[..., 2::-1], np.broadcast_to(pixels, (13, 17, 3)))
    if alpha is not None:
        np.testing.assert_array_equal(found[..., 3], alpha)


def test_pillow_checks_the_file_and_finds_the_metadata():
    profile = icc_profile('P3')
    png = encode_deep_png(DEEP[..., :3], None, metadata(icc_profile=profile, dpi=(72, 144)))
    with Image.open(io.BytesIO(png)) as image:
        image.verify()
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (17, 13) and image.tile[0][3] == 'RGB;16B'
        assert image.info['icc_profile'] == profile
        assert np.allclose(image.info['dpi'], (72, 144), atol=0.02)


def test_smooth_images_become_small():
    ramp = np.broadcast_to(np.arange(0, 512, dtype=np.uint16)[None, :, None], (256, 512, 3))
    assert len(encode_deep_png(ramp, None, metadata())) < ramp.nbytes / 50
