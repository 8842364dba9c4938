"""From errors to a match: smoothing, ties, bootstrap intervals and status."""

import numpy as np
import pytest
import torch
from scipy import stats

from dtir_mm.matching.conclusion import conclude
from dtir_mm.matching.criteria import LinearProbe, Trajectory
from dtir_mm.matching.search import coarse_grid, search


def match(errors, min_gain=None, num_steps=50, seed=0, grid=None):
    """``errors`` is a mapping from t, or a function of t that is searched."""
    if isinstance(errors, dict):
        evaluated = {t: np.asarray(e) for t, e in errors.items()}
    else:
        evaluated = search(lambda t: torch.tensor(errors(t)), num_steps, grid)
    return conclude(evaluated, 'score', num_steps, seed, min_gain)


def spread(mean, count=64, deviation=0.01):
    """Errors of ``count`` images with exactly this mean and standard deviation."""
    values = np.random.default_rng(5).standard_normal(count)
    return mean + deviation * (values - values.mean()) / values.std(ddof=1)


@pytest.mark.parametrize('minimum', [1, 2, 3, 25, 49, 50])
def test_a_sharp_minimum_is_the_match(minimum):
    result = match(lambda t: np.full(8, 0.5 + abs(t - minimum) / 1024))
    # Before step 1 the curve is constant, so that the smoothed values at 1 and 2 tie.
    found = 1 if minimum == 2 else minimum
    assert result.t_mat == result.median == found
    assert (result.interval, result.status, result.confidence) == ((found,) * 2, 'identified', 1)
    assert (result.n, result.method, result.fallback, result.reason) == (8, 'score', None, None)


def test_the_minimum_of_a_parabola_is_found_within_one_step():
    for minimum in range(1, 51):
        result = match(lambda t, m=minimum: np.full(8, 0.5 + (t - m) ** 2 / 8192))
        assert abs(result.t_mat - minimum) <= 1


def test_the_curve_has_the_means_in_order_of_t():
    result = match({20: [0.25, 0.25, 0.25, 0.5], 1: [1.0, 0.75, 1.0, 0.75], 50: [0.75] * 4})
    assert result.curve == [(1, 0.875), (20, 0.3125), (50, 0.75)]
    assert result.t_mat == 20


def test_curves_are_smoothed_over_three_steps():
    """Three low values win over one; beyond both ends the curve is constant."""
    curve = dict.fromkeys(range(1, 51), 0.9)
    curve |= {10: 0.6, 29: 0.75, 30: 0.75, 31: 0.75}
    result = match({t: [e] * 4 for t, e in curve.items()})
    assert result.t_mat == 30, '(0.9 + 0.6 + 0.9) / 3 > 0.75'
    assert dict(result.curve)[10] == pytest.approx(0.6), 'the curve itself was smoothed'
    curve[50] = 0.65
    assert match({t: [e] * 4 for t, e in curve.items()}).t_mat == 50, '(0.9 + 2 * 0.65) / 3 < 0.75'
    curve |= {1: 0.6}
    assert match({t: [e] * 4 for t, e in curve.items()}).t_mat == 1, '(2 * 0.6 + 0.9) / 3'


def test_neighbours_that_were_not_evaluated_are_interpolated():
    # Smoothed: 20: 0.5 + ((0.9 - 0.5) / 10 + (0.8 - 0.5) / 2) / 3 = 0.5633;
    # 40: 0.55 + ((0.8 - 0.55) / 18 + (0.6 - 0.55) / 10) / 3 = 0.5563, the lowest though 20 is best.
    curve = {10: 0.9, 20: 0.5, 22: 0.8, 40: 0.55, 50: 0.6}
    assert match({t: [e] * 4 for t, e in curve.items()}).t_mat == 40
    # At 0.56 the latter is 0.5658.
    curve[40] = 0.56
    assert match({t: [e] * 4 for t, e in curve.items()}).t_mat == 20


def test_equal_steps_give_the_smallest():
    flat = dict.fromkeys((5, 6, 7, 30, 31, 32), 0.4) | {1: 0.9, 15: 0.9, 50: 0.9}
    curve = {t: [flat[t]] * 6 for t in sorted(flat)}
    assert match(curve).t_mat == 6


@pytest.mark.parametrize(('excess', 'found'), [(0.95, 10), (1.05, 30)])
def test_steps_within_a_standard_error_of_the_best_are_ties(excess, found):
    """The standard error is that of the difference between both steps, image by image."""
    deviation, count = 0.08, 5
    at_30 = 0.5 + np.random.default_rng(1).uniform(-0.4, 0.4, count)
    at_10 = at_30 + spread(excess * deviation / np.sqrt(count), count, deviation)
    # The ends are far worse, so that the curve is not flat, and equally close to both steps.
    assert match({1: at_30 + 1, 10: at_10, 30: at_30, 39: at_30 + 1}).t_mat == found


def test_bootstrap_interval_of_the_mean():
    """Each image has a parabola: the best step of a resample is the mean minimum, rounded."""
    minima = 25 + 7 * np.random.default_rng(2).standard_normal(64)
    result = match(lambda t: 0.1 + (t - minima) ** 2 / 2000, grid=range(1, 51))
    reference = stats.bootstrap(
        (minima,), np.mean, confidence_level=0.9, method='percentile', n_resamples=9999, rng=3
    )
    interval = np.round(reference.confidence_interval).astype(int)
    assert np.ptp(interval) >= 2
    assert result.interval == tuple(interval)
    assert result.median == round(float(np.median(reference.bootstrap_distribution)))
    near = np.abs(np.round(reference.bootstrap_distribution) - result.t_mat) <= 2
    assert result.confidence == pytest.approx(near.mean(), abs=0.04)
    assert result.status == 'identified'


def votes(share, count=40):
    """A share of the images is better at 10, the others by nearly as much at 40.

    All are far worse at both ends, so that the curve is not flat.
    """
    prefers_10 = np.arange(count) < share * count
    at_10, at_40 = np.where(prefers_10, 0.5, 0.5999), np.where(prefers_10, 0.6, 0.5)
    return {1: np.full(count, 0.9), 10: at_10, 40: at_40, 49: np.full(count, 0.9)}


@pytest.mark.parametrize('share', [0.5, 0.6, 0.625, 0.9])
def test_bootstrap_of_two_steps_is_binomial(share):
    """10 wins a resample of 40 images if at least half of the drawn ones prefer it."""
    result = match(votes(share))
    wins = stats.binom.sf(19, 40, share)
    assert result.t_mat == 10
    assert result.confidence == pytest.approx(wins, abs=0.05)
    wide = wins < 0.95
    assert result.interval == ((10, 40) if wide else (10, 10))
    assert result.status == ('unidentified' if wide else 'identified'), '30 > T / 2'
    assert result.median == 10


def test_an_interval_of_half_of_t_is_not_too_wide():
    assert match(votes(0.5), num_steps=60).status == 'identified'
    assert match(votes(0.5), num_steps=59).status == 'unidentified'


@pytest.mark.parametrize(
    ('min_gain', 'error', 'status'),
    [
        (LinearProbe.min_gain, 0.89, 'identified'),
        (LinearProbe.min_gain, 0.91, 'unidentified'),
        # Others need a gain of more than one standard error, 0.16 / sqrt(64) = 0.02.
        (None, 0.97, 'identified'),
        (None, 0.99, 'unidentified'),
        (None, 1.5, 'unidentified'),
        (Trajectory.min_gain, 1.5, 'identified'),
    ],
)
def test_fits_without_enough_gain_are_unidentified(min_gain, error, status):
    curve = {t: spread(error + 0.1 * (t != 20), deviation=0.16) for t in range(1, 51)}
    curve[19] = curve[21] = curve[20]
    result = match(curve, min_gain)
    assert (result.t_mat, result.status) == (20, status)


LEVELS = np.random.default_rng(7).uniform(0.3, 0.7, 64)


def noisy(mean):
    """64 images whose errors differ a lot, with independent noise at each step, about a mean."""

    def errors(t):
        return mean(t) + LEVELS - 0.5 + 0.05 * np.random.default_rng(t).standard_normal(64)

    return errors


@pytest.mark.parametrize(
    'errors',
    [lambda t: np.full(64, 0.5), lambda t: LEVELS, noisy(lambda t: 0.5)],
    ids=['constant', 'constant for each image', 'noise'],
)
@pytest.mark.parametrize('criterion', [LinearProbe, Trajectory])
def test_a_flat_curve_identifies_nothing(errors, criterion):
    result = match(errors, criterion.min_gain)
    assert result.status == 'unidentified'
    assert 'the curve is flat: it spreads over' in result.reason
    assert result.interval == (1, 50) and result.median == 25
    assert result.confidence <= 5 / 50 and not result.outside_interval


@pytest.mark.parametrize(
    ('mean', 't_mat', 'tolerance'),
    [
        (lambda t: 0.3 + ((t - 25) / 50) ** 2, 25, 7),  # the smallest of the ties
        (lambda t: 0.3 + t / 100, 1, 1),
        (lambda t: 0.8 - t / 100, 50, 1),
        (lambda t: 0.6 - 0.3 * np.exp(-(((t - 11) / 4) ** 2)), 11, 2),
    ],
    ids=['U', 'rising', 'falling', 'dip'],
)
def test_a_curve_that_rises_above_its_noise_identifies_its_minimum(mean, t_mat, tolerance):
    result = match(noisy(mean))
    assert (result.status, result.reason) == ('identified', None)
    assert abs(result.t_mat - t_mat) <= tolerance and not result.outside_interval


def test_two_minima_far_apart_identify_neither():
    """They are equally deep on average, and each is preferred by half of the images."""
    halves = np.where(np.arange(64) % 2, 1, -1)

    def errors(t):
        at_6, at_43 = (np.exp(-(((t - place) / 4) ** 2)) for place in (6, 43))
        depths = 0.2 + 0.1 * halves, 0.2 - 0.1 * halves
        return 0.6 - depths[0] * at_6 - depths[1] * at_43

    result = match(errors, grid=range(1, 51))
    assert result.interval == (6, 43)
    assert result.status == 'unidentified'
    assert result.reason == 'the interval 6..43 covers more than half of 1..50'


def test_one_flat_curve_in_twenty_counts_as_not_flat():
    def errors(seed):
        rng = np.random.default_rng(seed)
        return {t: LEVELS + 0.05 * rng.standard_normal(64) for t in coarse_grid(50)}

    curves = [match(errors(seed)) for seed in range(200)]
    not_flat = [m for m in curves if m.reason is None or 'flat' not in m.reason]
    assert len(not_flat) <= 20, 'binomial: more than 20 has a probability of 0.001'
    assert not any(m.outside_interval for m in curves)


def test_the_selected_step_is_in_its_interval():
    """If the slopes of images differ, early steps tie with the best of a shallow bowl."""
    t_mats = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        slopes, noise = 0.01 * rng.standard_normal(64), rng.standard_normal((51, 64))
        curve = {
            t: 0.5 + 1e-4 * (t - 26) ** 2 + slopes * (t - 26) + 0.01 * noise[t]
            for t in range(1, 51)
        }
        result = match(curve)
        assert result.interval[0] <= result.t_mat <= result.interval[1]
        t_mats.append(result.t_mat == result.interval[0])
    assert any(t_mats), 'the case does not occur'


def test_the_reason_names_what_is_explained():
    result = match(lambda t: np.full(8, 0.95 + abs(t - 20) / 1000), LinearProbe.min_gain)
    assert result.status == 'unidentified'
    assert result.reason == (
        'the best step explains 0.049 of the squared residual, and must explain more than 0.1'
    )


def test_the_same_seed_gives_the_same_match():
    rng = np.random.default_rng(0)
    curve = {t: rng.uniform(0.2, 0.8, 12) + (t - 25) ** 2 / 1000 for t in range(1, 51, 7)}
    first, again, other = (match(curve, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.confidence != other.confidence
