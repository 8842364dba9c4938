"""Classical methods do what their authors describe, on images where the answer is known."""

import cv2
import numpy as np
import pytest
from classical_methods import CANDIDATES
from classical_methods.candidate import Candidate
from classical_methods.dark_channel import (
    airlight,
    dark_channel,
    dark_channel_prior,
    guided_filter,
)
from classical_methods.deblurring import gaussian, richardson_lucy, unsharp_mask, wiener
from classical_methods.denoising import (
    bilateral,
    non_local_means,
    selective_median,
    total_variation,
    wavelet,
)
from classical_methods.inpainting import inpaint, inpaint_biharmonic, white
from classical_methods.tone import clahe, gamma, gamma_to_mean, homomorphic, stretch

from dtir_mm.evaluation.metrics import psnr

RNG = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[:64, :96]
SMOOTH = np.stack([ROWS * 2 + 60, COLUMNS + 80, 200 - ROWS - COLUMNS // 2], axis=2).astype(np.uint8)
BLOCKS = np.kron(RNG.integers(40, 216, (8, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def noisy(image: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, sigma, image.shape)
    return (image + noise).clip(0, 255).round().astype(np.uint8)


def test_settings_are_all_combinations():
    candidate = Candidate('x', gamma, {'a': (1, 2), 'b': (None, 5, 7)})
    assert candidate.settings()[:4] == [
        {'a': 1, 'b': None}, {'a': 1, 'b': 5}, {'a': 1, 'b': 7}, {'a': 2, 'b': None},
    ]  # fmt: skip
    assert len(candidate.settings()) == 6


@pytest.mark.parametrize('task', CANDIDATES)
def test_first_and_last_settings_give_images(task):
    pytest.importorskip('pywt')
    image = BLOCKS[:32, :48].copy()
    for candidate in CANDIDATES[task]:
        for setting in (candidate.settings()[0], candidate.settings()[-1]):
            result = candidate.method(image, **setting)
            assert (result.dtype, result.shape) == (np.uint8, image.shape), candidate.name
    assert np.array_equal(image, BLOCKS[:32, :48]), 'the input must not change'


@pytest.mark.parametrize(
    ('method', 'factor', 'more'),
    [
        (non_local_means, 0.7, {}),
        (bilateral, 3.0, {'radius': 2.0}),
        (total_variation, 1.0, {}),
        (wavelet, 1.0, {}),
    ],
    ids=['non-local means', 'bilateral', 'TV', 'wavelet'],
)
def test_denoisers_remove_noise(method, factor, more):
    pytest.importorskip('pywt')
    degraded = noisy(SMOOTH, 20)
    before = psnr(degraded, SMOOTH)
    given = psnr(method(degraded, sigma=20, factor=factor, **more), SMOOTH)
    estimated = psnr(method(degraded, sigma=None, factor=factor, **more), SMOOTH)
    assert given > before + 4
    assert estimated == pytest.approx(given, abs=1)


def test_selective_median_removes_bright_lines_only():
    image = SMOOTH.copy()
    image[:, 30] = 250
    image[:, 60] = 5
    cleaned = selective_median(image, (5, 1), 20)
    assert np.abs(cleaned[:, 30].astype(int) - SMOOTH[:, 30]).max() <= 2
    assert np.array_equal(cleaned[:, 31:], image[:, 31:])


def test_gamma_is_a_power_of_encoded_values():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    expected = 255 * (values / 255.0) ** 0.4
    assert np.abs(gamma(values, 0.4) - expected).max() <= 0.5 + 1e-9
    dark = gamma(SMOOTH, 3)
    level = np.uint8([[[60, 60, 60]]])
    assert gamma_to_mean(level, 0.5)[0, 0, 0] == 128
    assert gamma_to_mean(dark, 0.5).mean() > dark.mean()


def test_stretch_spans_the_range():
    narrow = (SMOOTH // 4 + 50).astype(np.uint8)
    together, apart = stretch(narrow, 0, False), stretch(narrow, 0, True)
    assert (together.min(), together.max()) == (0, 255)
    assert apart.min(axis=(0, 1)).tolist() == [0, 0, 0]
    assert apart.max(axis=(0, 1)).tolist() == [255, 255, 255]


def test_clahe_raises_contrast_and_homomorphic_evens_out():
    flat = (BLOCKS // 4 + 100).astype(np.uint8)
    assert clahe(flat, 4.0, 2).std() > 1.3 * flat.std()
    lit = (BLOCKS * np.linspace(0.3, 1, 96)[None, :, None]).astype(np.uint8)
    halves = homomorphic(lit, 0.25, 0.6)
    ratio = lit[:, 48:].mean() / lit[:, :48].mean()
    assert 1 < halves[:, 48:].mean() / halves[:, :48].mean() < 0.85 * ratio


def test_dark_channel_is_the_minimum_over_channels_and_a_square():
    image = RNG.random((12, 14, 3)).astype(np.float32)
    dark = dark_channel(image, 5)
    assert dark[5, 7] == image[3:8, 5:10].min()
    assert dark[0, 0] == image[:3, :3].min()


def test_airlight_is_the_brightest_of_the_haziest_pixels():
    image = np.zeros((40, 50, 3), np.float32)
    image[3, 4], image[3, 5], image[20, 20] = (0.7, 0.8, 0.8), (0.75, 0.9, 0.8), (1, 1, 0)
    assert airlight(image, image.min(axis=-1)) == pytest.approx([0.75, 0.9, 0.8])


def test_guided_filter_keeps_its_guide_and_constants():
    guide = RNG.random((30, 40)).astype(np.float32)
    assert guided_filter(guide, guide, 4, 1e-8) == pytest.approx(guide, abs=1e-3)
    constant = np.full_like(guide, 0.3)
    assert guided_filter(guide, constant, 4, 1e-3) == pytest.approx(constant, abs=1e-5)


def test_dark_channel_prior_inverts_uniform_haze():
    clean = BLOCKS.copy()
    clean[::4, ::4] = (0, 90, 90)  # a dark channel in every square
    clean[:4, :4] = 240  # the airlight
    hazy = (clean * 0.5 + 240 * 0.5).round().astype(np.uint8)
    restored = dark_channel_prior(hazy, patch=7, omega=1.0, least=0.1)
    assert psnr(restored[8:, 8:], clean[8:, 8:]) > psnr(hazy[8:, 8:], clean[8:, 8:]) + 10


def test_deblurring_sharpens():
    sharp = cv2.GaussianBlur(BLOCKS, (0, 0), 0.8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 1.3)
    before = psnr(blurred, sharp)
    assert psnr(unsharp_mask(blurred, 1.3, 1.5), sharp) > before + 1
    assert psnr(wiener(blurred, 1.3, 1e-3), sharp) > before + 3
    assert psnr(richardson_lucy(blurred, 1.3, 10), sharp) > before + 2
    assert gaussian(1.3).sum() == pytest.approx(1)


def test_inpainting_fills_white_holes():
    image = SMOOTH.copy()
    image[30:34, 10:80] = 255
    holes = np.zeros(image.shape[:2], bool)
    holes[30:34, 10:80] = True
    assert np.array_equal(white(image), holes)
    for filled in (
        inpaint(image, 'ns', 3, 0), inpaint(image, 'telea', 3, 0), inpaint_biharmonic(image, 0),
    ):  # fmt: skip
        assert np.array_equal(filled[~holes], image[~holes])
        assert np.abs(filled.astype(int) - SMOOTH).max() <= 6


def test_given_holes_replace_the_estimate():
    image = SMOOTH.copy()
    image[10:20, 10:20] = 255  # a white object
    image[40:43, 40:60] = 255  # a hole
    holes = np.zeros(image.shape[:2], bool)
    holes[40:43, 40:60] = True
    filled = inpaint(image, 'ns', 3, 0, holes)
    assert (filled[10:20, 10:20] == 255).all()
    assert (filled[40:43, 40:60] < 255).any()
