"""PSNR and SSIM equal scikit-image's."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dtir_mm.evaluation.metrics import PSNR_CAP, psnr, ssim


def noisy_pair(sigma, shape=(53, 70, 3)):
    rng = np.random.default_rng(7)
    clean = np.cumsum(rng.normal(0, 9, shape), axis=1) + 128
    noisy = clean + rng.normal(0, sigma, shape)
    return tuple(np.clip(image, 0, 255).astype(np.uint8) for image in (noisy, clean))


@pytest.mark.parametrize('shape', [(53, 70, 3), (11, 40, 3), (32, 32)])
@pytest.mark.parametrize('sigma', [1, 25, 90])
def test_psnr_and_ssim_equal_scikit_image(sigma, shape):
    noisy, clean = noisy_pair(sigma, shape)
    expected = peak_signal_noise_ratio(clean, noisy, data_range=255)
    assert psnr(noisy, clean) == pytest.approx(expected, abs=1e-6)
    expected = structural_similarity(
        clean.astype(float),
        noisy.astype(float),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2 if len(shape) == 3 else None,
    )
    assert ssim(noisy, clean) == pytest.approx(expected, abs=1e-6)


def test_opposite_images_do_not_wrap_around():
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    assert psnr(black, white) == psnr(white, black) == 0
    assert ssim(black, white) == pytest.approx(1e-4, abs=1e-6)


def test_equal_images_score_the_cap_and_one():
    _, clean = noisy_pair(1)
    assert psnr(clean, clean.copy()) == PSNR_CAP == 100
    assert ssim(clean, clean.copy()) == pytest.approx(1, abs=1e-9)


def test_psnr_is_capped():
    clean = np.zeros((1200, 1200, 3), np.uint8)
    restored = clean.copy()
    restored[0, 0, 0] = 1  # 114 dB without the cap
    assert psnr(restored, clean) == PSNR_CAP


def test_wrong_sizes_are_rejected():
    noisy, clean = noisy_pair(5)
    for figure in (psnr, ssim):
        with pytest.raises(ValueError, match=r'\(52, 70, 3\).*\(53, 70, 3\)'):
            figure(noisy[:-1], clean)
    with pytest.raises(ValueError, match='at least 11 x 11 pixels, got 53 x 10'):
        ssim(noisy[:, :10], clean[:, :10])
