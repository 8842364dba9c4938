"""TIFF files, as other libraries read them."""

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dtir_mm.encoding.tiff import encode_tiff

DEEP = np.random.default_rng(0).integers(0, 65536, (13, 17, 4), dtype=np.uint16)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [1, 2, 3, 4])
@pytest.mark.parametrize('strip', [1, 17 * 5, 10**6])
def test_tifffile_reads_the_same_pixels(monkeypatch, dtype, channels, strip):
    monkeypatch.setattr('dtir_mm.encoding.tiff._STRIP', strip)
    image = DEEP.astype(dtype)
    pixels = image[..., :1] if channels < 3 else image[..., :3]
    alpha = image[..., 3] if channels in (2, 4) else None
    content = encode_tiff(pixels, alpha, ImageFileDirectory_v2())
    expected = pixels if alpha is None else np.dstack([pixels, alpha])
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        (page,) = tiff.pages
        found = page.asarray()
        assert page.photometric.name == ('MINISBLACK' if channels < 3 else 'RGB')
        assert [extra.name for extra in page.extrasamples] == ['UNASSALPHA'] * (alpha is not None)
        assert page.compression.name == 'ADOBE_DEFLATE'
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


# Of RGBA with 8 bits, OpenCV multiplies the colours by alpha.
@pytest.mark.parametrize(('channels', 'dtype'), [(3, np.uint8), (3, np.uint16), (4, np.uint16)])
def test_opencv_reads_the_same_pixels(channels, dtype):
    image = DEEP.astype(dtype)
    alpha = image[..., 3] if channels == 4 else None
    content = encode_tiff(image[..., :3], alpha, ImageFileDirectory_v2())
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found[..., 2::-1], image[..., :3])
    if alpha is not None:
        np.testing.assert_array_equal(found[..., 3], alpha)


def test_pillow_reads_the_same_pixels_and_tags():
    tags = ImageFileDirectory_v2()
    tags[270] = 'a description'
    rgb = DEEP[..., :3].astype(np.uint8)
    with Image.open(io.BytesIO(encode_tiff(rgb, None, tags))) as image:
        np.testing.assert_array_equal(np.asarray(image), rgb)
        assert image.tag_v2[270] == 'a description' and image.n_frames == 1


def test_smooth_images_become_small():
    ramp = np.broadcast_to(np.arange(0, 512, dtype=np.uint16)[None, :, None], (256, 512, 3))
    assert len(encode_tiff(ramp, None, ImageFileDirectory_v2())) < ramp.nbytes / 50
