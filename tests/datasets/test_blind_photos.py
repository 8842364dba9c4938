"""Pairs for a blind network: which there are, how they are made, and hiding the task."""

from collections import Counter

import cv2
import numpy as np
import pytest

from dtir_mm.datasets import DEGRADATIONS, BlindPhotosDataset, HideTask
from dtir_mm.datasets.blind_photos import BLIND, ORDER, as_taken, degrade
from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.image_io import read_image

PHOTOS = 6  # in photos_dir, of 48 x 64 pixels


def build(folder, **options):
    return BlindPhotosDataset(str(folder), [], **options)


def psnr(one, other):
    error = np.square(one.astype(float) - other).mean()
    return 10 * np.log10(255**2 / error) if error else np.inf


def test_there_are_three_pairs_of_each_task_and_composites_and_clean_ones(photos_dir):
    dataset = build(photos_dir, composites=2, untouched=5)
    assert len(dataset) == PHOTOS * (3 * 10 + 2 + 5)
    assert dataset.tasks == [*ORDER, BLIND] and set(ORDER) == set(DEGRADATIONS)
    cases = Counter(case for _, case, _ in dataset.pairs)
    assert cases == dict.fromkeys(ORDER, 3 * PHOTOS) | {
        'composite': 2 * PHOTOS, 'untouched': 5 * PHOTOS
    }  # fmt: skip
    for i in (0, 7, 100):
        sample = dataset[i]
        assert (sample['task'], sample['path']) == (dataset.pairs[i][1], str(dataset.pairs[i][0]))
        assert sample['domain'] == ('target' if dataset.pairs[i][2] == 'target' else 'source')
        assert (sample['degraded'] != sample['clean']).any()


def test_the_degradations_can_be_chosen(photos_dir):
    chosen = build(photos_dir, degradations=['hazy', 'noisy'], composites=0, untouched=0)
    assert chosen.tasks == ['hazy', 'noisy', BLIND]
    everything = build(photos_dir)
    assert chosen.pairs == [
        pair for task in chosen.degradations for pair in everything.pairs if pair[1] == task
    ]
    place = everything.pairs.index(chosen.pairs[1])
    assert (chosen[1]['degraded'] == everything[place]['degraded']).all()
    with pytest.raises(ValueError, match='degradations=foggy must be of blurry, hazy'):
        build(photos_dir, degradations=['foggy'])


def test_a_pair_depends_on_photograph_case_and_seed_alone(photos_dir):
    def content(sample):
        return sample['task'], sample['clean'].tobytes(), sample['degraded'].tobytes()

    dataset = build(photos_dir, composites=1, untouched=1)
    before = [content(dataset[i]) for i in range(len(dataset))]
    cached = build(photos_dir, composites=1, untouched=1, cache=True)
    assert [content(cached[i]) for i in reversed(range(len(dataset)))] == before[::-1]
    assert len(set(before)) == len(before)
    other = build(photos_dir, composites=1, untouched=1, pair_seed=1)
    assert all(content(other[i])[1:] != content(dataset[i])[1:] for i in range(len(dataset)))
    both = build(photos_dir, composites=1, untouched=1, draws=2)
    assert [content(both[i]) for i in range(len(both))] == [
        *before, *(content(other[i]) for i in range(len(other)))
    ]  # fmt: skip
    with pytest.raises(ValueError, match='draws=0 must be at least 1'):
        build(photos_dir, draws=0)


def test_photographs_are_resized_and_cropped(photos_dir):
    options = dict(composites=0, untouched=30)
    whole, cut = build(photos_dir, min_scale=0.5, **options), build(
        photos_dir, min_scale=1, crop=16, **options)  # fmt: skip
    scales, corners = [], set()
    for i in range(30 * PHOTOS, len(whole), PHOTOS):
        photo = read_image(whole.pairs[i][0])
        height, width = whole[i]['clean'].shape[:2]
        scales.append(height / photo.shape[0])
        assert abs(width / photo.shape[1] - scales[-1]) < 0.02
        resized = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        # Only nearly, because the scale is not rounded to whole pixels.
        assert np.abs(resized.astype(int) - whole[i]['clean']).mean() < 6
        square = cut[i]['clean']
        found = cv2.minMaxLoc(cv2.matchTemplate(photo, square, cv2.TM_SQDIFF))
        assert square.shape == (16, 16, 3) and found[0] < 100
        corners.add(found[2])
    assert 0.5 <= min(scales) < 0.6 and 0.9 < max(scales) <= 1 and len(corners) > 20


def test_composites_have_the_task_of_one_of_two_degradations_or_none(photos_dir):
    dataset = build(photos_dir, composites=30, untouched=0)
    samples = [dataset[i] for i in range(30 * 6, len(dataset))]
    tasks = Counter(sample['task'] for sample in samples)
    assert set(tasks) == {*ORDER, BLIND} and 0.2 < tasks[BLIND] / len(samples) < 0.47


def test_untouched_images_are_blind_or_have_any_task(photos_dir):
    dataset = build(photos_dir, composites=0, untouched=30)
    samples = [dataset[i] for i in range(30 * 6, len(dataset))]
    tasks = Counter(sample['task'] for sample in samples)
    assert set(tasks) == {*ORDER, BLIND} and 0.35 < tasks[BLIND] / len(samples) < 0.65
    assert all((sample['clean'] == sample['degraded']).all() for sample in samples)


@pytest.mark.parametrize('task', ORDER)
@pytest.mark.parametrize('severity', ['source', 'target'])
def test_degradations_at_a_severity(photos_dir, task, severity):
    image = read_image(photos_dir / 'photo_1.png')
    found = degrade(image, task, severity, np.random.default_rng(3))
    expected = degradation_for(task, severity).degrade(image, np.random.default_rng(3))
    np.testing.assert_array_equal(found, expected)


def test_noise_and_jpeg_of_any_strength(photos_dir):
    rng, image = np.random.default_rng(0), np.full((64, 64, 3), 128, np.uint8)
    sigmas = [np.std(degrade(image, 'noisy', 'any', rng).astype(float)) for _ in range(60)]
    assert 2.5 < min(sigmas) < 10 and 45 < max(sigmas) < 57
    photo = read_image(photos_dir / 'photo_1.png')
    quality = [psnr(degrade(photo, 'jpeg', 'any', rng), photo) for _ in range(60)]
    _, stored = cv2.imencode('.jpg', photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70])
    light = cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1]
    heavy = degrade(photo, 'jpeg', 'target', rng)
    assert psnr(heavy, photo) - 0.01 <= min(quality) < max(quality) <= psnr(light, photo) + 0.01
    assert max(quality) - min(quality) > 3
    rain = degrade(photo, 'rainy', 'any', np.random.default_rng(1))
    expected = degradation_for('rainy', 'source').degrade(photo, np.random.default_rng(1))
    np.testing.assert_array_equal(rain, expected)


# --- for a classifier -------------------------------------------------------------------------


def test_the_task_of_a_composite_is_the_degradation_that_changes_it_more(photos_dir):
    """Weak noise on a bright image counts less than shadows, haze or darkness, and so on."""
    dataset = build(photos_dir, composites=30, untouched=0, for_classifier=True)
    samples = [dataset[i] for i in range(30 * 6, len(dataset))]
    tasks = Counter(sample['task'] for sample in samples)
    assert BLIND not in tasks
    # In this order: the median distance of one degradation to the ground truth.
    assert tasks['low_light'] > 1.5 * tasks['noisy'] > 1.5 * tasks['jpeg']
    dark = [sample for sample in samples if sample['task'] == 'low_light']
    assert all(sample['degraded'].mean() < 0.7 * sample['clean'].mean() for sample in dark)


def test_noise_for_a_classifier_is_visible(photos_dir):
    folder, sigmas = str(photos_dir), []
    for seed in range(15):
        dataset = build(folder, pair_seed=seed, for_classifier=True)
        noisy = [i for i, (_, *case) in enumerate(dataset.pairs) if case == ['noisy', 'any']]
        for sample in map(dataset.load, noisy):
            inside = (sample['clean'] > 60) & (sample['clean'] < 200)
            sigmas.append((sample['degraded'].astype(float) - sample['clean'])[inside].std())
    assert 7.5 < min(sigmas) < 14 and max(sigmas) > 40


def test_clean_images_vary_but_stay_good():
    rng, image = np.random.default_rng(0), np.full((64, 64, 3), (180, 120, 60), np.uint8)
    varied = [as_taken(image, rng).astype(float) for _ in range(300)]
    assert 0.05 < np.mean([(one == image).all() for one in varied]) < 0.3
    noise = [one.std(axis=(0, 1)).max() for one in varied]
    assert max(noise) < 4 and np.mean([value > 0.4 for value in noise]) > 0.2
    brightness = [one.mean() for one in varied]
    assert min(brightness) > 50 and max(brightness) < 190 and np.std(brightness) > 10
    grey = [np.ptp(one.mean(axis=(0, 1))) < 2 for one in varied]
    assert 0.02 < np.mean(grey) < 0.15
    before = image.copy()
    as_taken(image, rng)
    np.testing.assert_array_equal(image, before)


def test_clean_images_are_soft_at_most_slightly(photos_dir):
    photo, rng = read_image(photos_dir / 'photo_1.png'), np.random.default_rng(0)

    def sharpness(image):
        grey = image.astype(float).mean(axis=2)
        return np.abs(cv2.Laplacian(grey, cv2.CV_64F)).mean() / grey.std()

    blurry = sharpness(degrade(photo, 'blurry', 'source', rng))
    assert all(sharpness(as_taken(photo, rng)) > blurry for _ in range(100))


# --- hiding the task --------------------------------------------------------------------------


def test_a_share_of_the_tasks_is_hidden():
    rng = np.random.default_rng(0)
    tasks = Counter(HideTask(0.3)({'task': 'hazy', 'rng': rng})['task'] for _ in range(2000))
    assert set(tasks) == {'hazy', BLIND} and 540 < tasks[BLIND] < 660
    assert HideTask(1)({'task': 'hazy', 'rng': rng})['task'] == BLIND
    assert HideTask(0)({'task': 'hazy', 'rng': rng})['task'] == 'hazy'


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda folder: build(folder, min_scale=0), r'min_scale=0 must lie in \(0, 1\]'),
        (lambda folder: HideTask(1.2), r'share=1.2 of HideTask must lie in \[0, 1\]'),
    ],
)
def test_arguments_out_of_range_are_rejected(photos_dir, make, message):
    with pytest.raises(ValueError, match=message):
        make(photos_dir)
