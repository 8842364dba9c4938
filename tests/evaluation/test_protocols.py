"""Named protocols: what they compare, and unknown names."""

import numpy as np
import pytest
from skimage.color import rgb2ycbcr

from dtir_mm.evaluation.protocols import get_protocol, luma


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_the_default_compares_the_images_as_they_are(image):
    protocol = get_protocol('rgb')
    np.testing.assert_array_equal(protocol.convert(protocol.crop(image)), image)
    assert protocol.lpips and not get_protocol('rgb_no_lpips').lpips


def test_crop4_cuts_four_pixels_at_each_side(image):
    np.testing.assert_array_equal(get_protocol('rgb_crop4').crop(image), image[4:-4, 4:-4])
    with pytest.raises(ValueError, match="'rgb_crop4' crops 4 pixels .* of 8 x 30"):
        get_protocol('rgb_crop4').crop(image[:8])


def test_luma_is_that_of_rgb2ycbcr(image):
    expected = rgb2ycbcr(image)[..., 0]
    np.testing.assert_allclose(get_protocol('y').convert(image), expected, atol=1e-9)
    extremes = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(luma(extremes), [[16, 235]], atol=1e-9)


def test_unknown_protocols_list_the_known_ones():
    with pytest.raises(ValueError, match=r"'rgb_crop'; there are rgb, .*nearest: rgb_crop4"):
        get_protocol('rgb_crop')
    with pytest.raises(ValueError, match=r"'lab'; there are rgb, .*, y$"):
        get_protocol('lab')
