"""Hashes survive recompression and equal an independent computation."""

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from dtir_mm.datasets.perceptual_hash import BITS, SAME_IMAGE, find_same, perceptual_hash


def image(seed: int, height: int, width: int) -> np.ndarray:
    """Patches of colour with some grain."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (height // 8, width // 8, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)


def bits_apart(one, other) -> int:
    return int((perceptual_hash(one) != perceptual_hash(other)).sum())


def test_the_bits_are_the_signs_of_the_lowest_frequencies_about_their_median():
    clean = image(0, 128, 192)
    grey = np.asarray(Image.fromarray(clean).convert('L'), float)
    small = grey.reshape(64, 2, 64, 3).mean(axis=(1, 3))
    lowest = dctn(small, norm='ortho')[:16, :16].ravel()[1:]
    expected = lowest > np.median(lowest)
    ours = perceptual_hash(clean)
    assert ours.shape == (BITS,) == (255,)
    # Pillow and OpenCV round grey values differently: coefficients near the median may flip.
    assert (ours != expected).sum() <= 4


def stored_as_jpeg(image):
    return cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1)


@pytest.mark.parametrize(
    'change',
    [
        stored_as_jpeg,
        lambda image: cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_CUBIC),
        lambda image: (image * 0.6 + 20).astype(np.uint8),
        lambda image: image[2:-2, 2:-2],
    ],
    ids=['stored as JPEG', 'resized', 'darker', 'cropped'],
)
def test_hashes_are_close_only_for_the_same_image(change):
    images = [image(seed, 200, 300) for seed in range(4)]
    for i, one in enumerate(images):
        for j, other in enumerate(images):
            assert (bits_apart(change(one), other) <= SAME_IMAGE) == (i == j)


def test_find_same_returns_pairs_that_differ_in_few_bits():
    rng = np.random.default_rng(0)
    some, others = rng.random((20, BITS)) < 0.5, rng.random((9, BITS)) < 0.5
    for i, j, flips in ((3, 2, 0), (19, 2, 5), (11, 8, SAME_IMAGE), (7, 0, SAME_IMAGE + 1)):
        some[i] = others[j]
        some[i, rng.choice(BITS, flips, replace=False)] ^= True
    assert find_same(some, others) == [(3, 2, 0), (11, 8, SAME_IMAGE), (19, 2, 5)]
