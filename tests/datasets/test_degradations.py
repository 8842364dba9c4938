"""Degradations against independent references, and differences of source and target."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from dtir_mm.datasets.degradations import (
    DEGRADATIONS,
    SEVERITIES,
    blur,
    degradation_for,
    haze,
    low_light,
    raindrop,
    shadow,
)
from dtir_mm.registry import TRANSFORMS

TASKS = 'noisy rainy jpeg snowy inpainting raindrop shadowed low_light hazy blurry'.split()
EVERY = [(task, severity) for task in TASKS for severity in SEVERITIES]


def flat(value, size=(256, 256)):
    return np.full((*size, 3), value, np.uint8)


def degrade(task, severity, image, seed=0):
    return degradation_for(task, severity).degrade(image, np.random.default_rng(seed))


@pytest.fixture(scope='module')
def photo():
    skimage = pytest.importorskip('skimage')
    file = Path(skimage.__file__).parent / 'data' / 'astronaut.png'
    with Image.open(file) as image:
        return np.array(image)[:320, 60:360]


def test_the_ten_tasks_in_order():
    assert list(DEGRADATIONS) == TASKS
    assert all(degradation.task == task for task, degradation in DEGRADATIONS.items())


@pytest.mark.parametrize(('task', 'severity'), EVERY)
def test_degradations_are_pure_functions_of_image_and_generator(task, severity, photo):
    before = photo.copy()
    first, again, other = (degrade(task, severity, photo, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(photo, before, err_msg='the clean image was changed')
    assert first.dtype == np.uint8 and first.shape == photo.shape and first.flags.c_contiguous
    np.testing.assert_array_equal(first, again)
    assert (first != photo).any()
    assert (first != other).any() == (task != 'jpeg'), 'only JPEG has nothing random'


@pytest.mark.parametrize(('task', 'severity'), EVERY)
@pytest.mark.parametrize('size', [(16, 16), (16, 301), (97, 33)])
def test_small_and_flipped_images(task, severity, size, photo):
    image = photo[: size[0], : size[1]]
    image = np.pad(image, ((0, 0), (0, size[1] - image.shape[1]), (0, 0)), mode='reflect')
    view = image[:, ::-1]
    result = degrade(task, severity, view)
    assert result.shape == image.shape
    np.testing.assert_array_equal(result, degrade(task, severity, view.copy()))


@pytest.mark.parametrize('task', [task for task in TASKS if task != 'low_light'])
def test_target_is_harder_than_source(task, photo):
    source, target = (
        np.mean([cv2.PSNR(photo, degrade(task, severity, photo, seed)) for seed in range(8)])
        for severity in SEVERITIES
    )
    assert target < source - 1.0


@pytest.mark.parametrize('severity', SEVERITIES)
def test_transform_degrades_and_names_task_and_domain(severity, photo):
    transform = TRANSFORMS.build({'type': 'Haze', 'severity': severity})
    results = transform({'clean': photo, 'rng': np.random.default_rng(5), 'path': 'p'})
    np.testing.assert_array_equal(results['degraded'], degrade('hazy', severity, photo, 5))
    assert results['clean'] is photo and results['path'] == 'p'
    assert (results['task'], results['domain']) == ('hazy', severity)


def test_unknown_tasks_and_severities_are_rejected():
    with pytest.raises(ValueError, match=r"'rany'.*noisy, rainy.*nearest: rainy"):
        degradation_for('rany', 'source')
    with pytest.raises(ValueError, match=r"'heavy' of Snow.*'source', 'target'"):
        degradation_for('snowy', 'heavy')


def test_source_noise_has_sigma_25():
    noise = degrade('noisy', 'source', flat(128)).astype(float) - 128
    assert noise.std() == pytest.approx(25, rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.3)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize('level', [64, 128, 200])
def test_target_noise_is_gaussian_plus_poisson_clipped(level):
    # Poisson with 60 photons at white: variance level * 255 / 60.
    sigma = np.sqrt(50**2 + level * 255 / 60)
    reference = np.random.default_rng(9).normal(level, sigma, 10**6).clip(0, 255)
    noisy = degrade('noisy', 'target', flat(level)).astype(float)
    assert noisy.std() == pytest.approx(reference.std(), rel=0.03)
    assert noisy.mean() == pytest.approx(reference.mean(), abs=1)


def test_noise_is_clipped_and_does_not_wrap_around():
    assert degrade('noisy', 'source', flat(255)).min() > 100
    assert degrade('noisy', 'target', flat(0)).mean() == pytest.approx(
        50 / np.sqrt(2 * np.pi), rel=0.03
    )


@pytest.mark.parametrize(('severity', 'quality'), [('source', 20), ('target', 8)])
def test_jpeg_equals_pillow_at_the_same_quality(severity, quality, photo):
    stored = io.BytesIO()
    Image.fromarray(photo).save(stored, 'JPEG', quality=quality)
    assert cv2.PSNR(degrade('jpeg', severity, photo), np.array(Image.open(stored))) > 40


def test_source_blur_is_scipys_gaussian(photo):
    sigma = np.random.default_rng(3).uniform(1.0, 1.6)
    expected = ndimage.gaussian_filter(
        photo.astype(float), (sigma, sigma, 0), mode='mirror', truncate=3
    )
    difference = degrade('blurry', 'source', photo, 3) - expected
    assert np.abs(difference).max() < 1.6 and np.abs(difference).mean() < 0.4


def test_target_blur_is_the_convolution_with_its_kernel(photo):
    kernel = blur.motion_kernel(9.0, np.random.default_rng(3)).astype(float)
    expected = [
        ndimage.correlate(photo[..., c].astype(float), kernel, mode='mirror') for c in (0, 1, 2)
    ]
    difference = degrade('blurry', 'target', photo, 3) - np.stack(expected, axis=2)
    assert np.abs(difference).max() < 0.51


def test_motion_kernel_is_a_centred_path_of_nine_pixels():
    for seed in range(20):
        kernel = blur.motion_kernel(9.0, np.random.default_rng(seed)).astype(float)
        rows, columns = np.indices(kernel.shape) - kernel.shape[0] // 2
        assert kernel.sum() == pytest.approx(1) and kernel.min() >= 0
        assert (kernel * rows).sum() == pytest.approx(0, abs=0.01)
        assert (kernel * columns).sum() == pytest.approx(0, abs=0.01)
        # A straight path of length 9 has the variance 81 / 12; a bent one less, splatting adds 1/3.
        variance = (kernel * (rows**2 + columns**2)).sum()
        assert 81 / 12 * 0.5 < variance < 81 / 12 + 0.4


def transmission_and_air(severity, size, seed):
    """Haze over black is A (1 - t), over white t + A (1 - t)."""
    black = degrade('hazy', severity, flat(0, size), seed) / 255
    white = degrade('hazy', severity, flat(255, size), seed) / 255
    transmission = (white - black).mean(axis=2, keepdims=True)
    return transmission, black.sum(axis=(0, 1)) / (1 - transmission).sum()


@pytest.mark.parametrize('severity', SEVERITIES)
def test_haze_follows_the_scattering_model(severity, photo):
    transmission, air = transmission_and_air(severity, photo.shape[:2], 4)
    expected = photo * transmission + 255 * air * (1 - transmission)
    assert np.abs(degrade('hazy', severity, photo, 4) - expected).max() < 3
    assert (np.ptp(air) < 0.01) == (severity == 'source'), 'grey air at the source, else coloured'


@pytest.mark.parametrize(('severity', 'least', 'most'), [('source', 0.6, 1.6), ('target', 1, 2.4)])
def test_haze_density_lies_in_its_range_and_thickens_upwards(severity, least, most):
    for seed in range(6):
        transmission, _ = transmission_and_air(severity, (120, 160), seed)
        depth = -np.log(transmission[..., 0])
        # Ramp and plasma reach 1 in different places.
        assert 0.75 * least < depth.max() < most + 0.03
        if severity == 'source':
            assert depth[:12].mean() > depth[54:66].mean() > depth[-12:].mean()
    assert haze.TARGET.patchiness > haze.SOURCE.patchiness


def streaks(image):
    """Labels and boxes of the bright things on a black image."""
    _, _, boxes, _ = cv2.connectedComponentsWithStats((image[..., 1] > 25).astype(np.uint8))
    return boxes[1:]


def test_source_rain_is_thin_steep_and_of_the_given_density():
    for seed in range(5):
        boxes = streaks(degrade('rainy', 'source', flat(0, (400, 400)), seed))
        # 800 to 2500 a megapixel, of which some touch; 9 to 17 px, at most 15 degrees plus spread.
        assert 0.16 * 800 * 0.7 < len(boxes) < 0.16 * 2500
        lone = boxes[boxes[:, cv2.CC_STAT_AREA] < 60]
        assert 9 < np.median(lone[:, cv2.CC_STAT_HEIGHT]) < 19
        slope = (lone[:, cv2.CC_STAT_WIDTH] - 3) / lone[:, cv2.CC_STAT_HEIGHT]
        assert np.median(slope) < np.tan(np.deg2rad(18))


def test_rain_and_snow_only_brighten_and_targets_have_a_veil():
    for task in ('rainy', 'snowy'):
        light, heavy = (degrade(task, severity, flat(60), 1) for severity in SEVERITIES)
        assert light.min() == 60 and np.median(light) == 60, 'sparse, and nothing between'
        assert heavy.min() > 60
        assert np.ptp(heavy.astype(int), axis=2).max() <= 1, 'white has no colour'


def test_target_snow_has_larger_flakes():
    areas = []
    for severity in SEVERITIES:
        boxes = [streaks(degrade('snowy', severity, flat(0), seed)) for seed in range(4)]
        areas.append(np.percentile(np.concatenate(boxes)[:, cv2.CC_STAT_AREA], 80))
    assert areas[1] > 1.5 * areas[0]


@pytest.mark.parametrize(
    ('severity', 'least', 'most'), [('source', 0.005, 0.1), ('target', 0.1, 0.5)]
)
def test_holes_are_pure_white_and_the_rest_is_untouched(severity, least, most, photo):
    clean = np.minimum(photo, 254)
    for seed in range(5):
        result = degrade('inpainting', severity, clean, seed)
        hole = (result != clean).any(axis=2)
        assert (result[hole] == 255).all()
        assert least < hole.mean() < most


def test_drops_show_the_scene_upside_down(monkeypatch):
    one = raindrop.DropStrength((1, 1), (0.06, 0.06), 0.2, (1.0, 1.0))
    monkeypatch.setattr(raindrop, 'SOURCE', one)
    ramp = np.linspace(0, 255, 301)[:, None, None]
    rows = np.broadcast_to(ramp, (301, 301, 3)).astype(np.uint8)
    seen = 0
    for seed in range(24):
        for axis, image in enumerate((rows, rows.swapaxes(0, 1).copy())):
            result = degrade('raindrop', 'source', image, seed).astype(float)
            changed = np.abs(result - image).max(axis=2) > 3
            assert changed.mean() < 1.6 * np.pi * 0.06**2
            row, column = (round(indices.mean()) for indices in np.nonzero(changed))
            if min(row, column, 300 - row, 300 - column) < 70:
                continue
            core = result[row - 7 : row + 8, column - 7 : column + 8, 0]
            rise = np.polyfit(np.arange(15), core.mean(axis=1 - axis), 1)[0]
            assert -4.5 < rise / (255 / 300) < -1.7, 'the scene is turned, and shrunk 2 to 4 times'
            seen += 1
    assert seen >= 4


def test_shadow_multiplies_by_a_bluish_factor_under_a_soft_mask():
    steepest = {}
    for severity, strength in (('source', shadow.SOURCE), ('target', shadow.TARGET)):
        ratio = degrade('shadowed', severity, flat(200), 2) / 200
        assert ratio.max() == 1 and (ratio[..., 1] == 1).mean() > 0.1
        red, green, blue = ratio.min(axis=(0, 1))
        assert strength.light[0] - 0.01 < green < strength.light[1] + 0.01
        assert red < green < blue
        steepest[severity] = np.abs(np.diff(ratio[..., 1], axis=1)).max() / (1 - green)
    assert steepest['source'] < 0.1 < steepest['target']


def test_srgb_transfer_function_at_published_points():
    assert low_light.srgb_to_linear(np.array([0.0, 0.02, 0.5, 1.0])) == pytest.approx(
        [0, 0.0015480, 0.2140411, 1], abs=1e-6
    )
    levels = np.linspace(0, 1, 256)
    assert low_light.linear_to_srgb(low_light.srgb_to_linear(levels)) == pytest.approx(levels)


@pytest.mark.parametrize('severity', SEVERITIES)
def test_low_light_has_the_mean_and_the_noise_of_its_sensor(severity):
    strength = low_light.SOURCE if severity == 'source' else low_light.TARGET
    rng = np.random.default_rng(6)
    gamma, white = rng.uniform(*strength.gamma), rng.uniform(*strength.white)
    light = low_light.srgb_to_linear(np.array(white * (180 / 255) ** gamma))
    dark = degrade('low_light', severity, flat(180), 6) / 255
    measured = low_light.srgb_to_linear(dark)
    gains = np.array([2.0, 1.0, 1.6])
    deviation = np.sqrt(light * gains / strength.photons + (strength.read_noise * gains) ** 2)
    assert measured.mean(axis=(0, 1)) == pytest.approx(np.repeat(light, 3), rel=0.02)
    # Rounding to 8 bits adds a little to it.
    assert measured.std(axis=(0, 1)) == pytest.approx(deviation, rel=0.06)


def test_low_light_target_is_dimmer_in_bright_parts_and_noisier():
    bright = [degrade('low_light', severity, flat(240), 1) for severity in SEVERITIES]
    assert bright[1].mean() < 0.7 * bright[0].mean()
    relative_noise = [image.std() / image.mean() for image in bright]
    assert relative_noise[1] > 1.3 * relative_noise[0]
