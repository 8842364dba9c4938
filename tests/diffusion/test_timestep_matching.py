"""Searching a curve, smoothing, ties, bootstrap intervals and status; steps that are given."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy import stats

from dtir_mm.diffusion.timestep_matching import (
    TimestepMatch,
    coarse_grid,
    given_timestep,
    match_timestep,
)
from dtir_mm.diffusion.timesteps_file import PAPER_TIMESTEPS


def match(errors, task='rainy', method='score', num_steps=50, seed=0, stand_in='paper', **options):
    """``errors`` is a function of t, or a mapping that also is the grid."""
    if isinstance(errors, dict):
        options['grid'] = list(errors)
        errors = errors.__getitem__
    return match_timestep(
        lambda t: torch.tensor(errors(t), dtype=torch.float64),
        task,
        method,
        num_steps,
        seed,
        stand_in,
        **options,
    )


def spread(mean, count=64, deviation=0.01):
    """Errors of ``count`` images with exactly this mean and standard deviation."""
    values = np.random.default_rng(5).standard_normal(count)
    return mean + deviation * (values - values.mean()) / values.std(ddof=1)


def test_coarse_grid():
    assert len(coarse_grid(50)) == 12
    for num_steps in (1, 4, 50, 1000):
        grid = coarse_grid(num_steps)
        assert grid == sorted(set(grid)) and grid[0] == 1 and grid[-1] == num_steps


@pytest.mark.parametrize('minimum', range(1, 51))
def test_a_sharp_minimum_is_found_anywhere(minimum):
    asked, reported = [], []

    def errors(t):
        asked.append(t)
        return np.full(8, 0.5 + abs(t - minimum) / 1024)

    result = match(errors, progress=reported.append)
    assert minimum in asked
    # Before step 1 the curve is flat, so that the smoothed values at 1 and 2 tie.
    found = 1 if minimum == 2 else minimum
    assert result.t_mat == result.median == found
    assert (result.interval, result.status, result.confidence) == ((found,) * 2, 'identified', 1)
    assert len(asked) == len(set(asked)) <= 18
    assert reported == asked
    assert result.curve == [(t, 0.5 + abs(t - minimum) / 1024) for t in sorted(asked)]
    assert (result.n, result.method, result.fallback) == (8, 'score', None)


def test_the_minimum_of_a_parabola_is_found_within_one_step():
    for minimum in range(1, 51):
        result = match(lambda t, m=minimum: np.full(8, 0.5 + (t - m) ** 2 / 8192))
        assert abs(result.t_mat - minimum) <= 1


def test_a_grid_is_not_refined_and_the_curve_holds_means():
    result = match({1: [1.0, 0.75, 1.0, 0.75], 20: [0.25, 0.25, 0.25, 0.5], 50: [0.75] * 4})
    assert result.curve == [(1, 0.875), (20, 0.3125), (50, 0.75)]
    assert result.t_mat == 20


def test_curves_are_smoothed_over_three_steps():
    """One low value loses to three; the neighbours of both ends are the ends themselves."""
    curve = dict.fromkeys(range(1, 51), 0.9)
    curve |= {10: 0.6, 29: 0.75, 30: 0.75, 31: 0.75}
    result = match({t: [e] * 4 for t, e in curve.items()})
    assert result.t_mat == 30, '(0.9 + 0.6 + 0.9) / 3 > 0.75'
    assert dict(result.curve)[10] == pytest.approx(0.6), 'the curve itself is left as it was'
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
    # The ends are far worse, so that the curve is not flat, and as near to one as to the other.
    assert match({1: at_30 + 1, 10: at_10, 30: at_30, 39: at_30 + 1}).t_mat == found


def test_bootstrap_interval_of_the_mean():
    """Parabolas with a minimum an image: the best step of a resample is its mean, rounded."""
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
    """A share of the images is better at 10, the rest by very nearly as much at 40.

    At both ends all are far worse: the curve is not flat.
    """
    prefers_10 = np.arange(count) < share * count
    at_10, at_40 = np.where(prefers_10, 0.5, 0.5999), np.where(prefers_10, 0.6, 0.5)
    return {1: np.full(count, 0.9), 10: at_10, 40: at_40, 49: np.full(count, 0.9)}


@pytest.mark.parametrize('share', [0.5, 0.6, 0.625, 0.9])
def test_bootstrap_of_two_steps_is_binomial(share):
    """10 wins a resample of 40 images if at least half of the drawn ones prefer it."""
    result = match(votes(share), task='unknown')
    wins = stats.binom.sf(19, 40, share)
    assert result.t_mat == 10
    assert result.confidence == pytest.approx(wins, abs=0.05)
    wide = wins < 0.95
    assert result.interval == ((10, 40) if wide else (10, 10))
    assert result.status == ('unidentified' if wide else 'identified'), '30 > T / 2'
    assert result.median == 10 and result.fallback is None


@pytest.mark.parametrize(
    ('task', 'num_steps', 't_mat', 'fallback'),
    [('rainy', 50, 8, 'paper'), ('hazy', 50, 47, 'paper'), ('fog', 50, 10, None)]
    + [('rainy', 55, 10, None)],
)
def test_a_wide_interval_is_unidentified_and_takes_table_4(task, num_steps, t_mat, fallback):
    result = match(votes(0.5), task=task, num_steps=num_steps)
    assert result.status == 'unidentified'
    assert (result.t_mat, result.fallback) == (t_mat, fallback)
    assert result.interval == (10, 40), 'the interval stays that of the search'
    assert result.outside_interval == (t_mat in (8, 47))


@pytest.mark.parametrize('task', ['rainy', 'hazy', 'fog'])
def test_the_step_found_may_stand_in_for_itself(task):
    result = match(votes(0.5), task=task, stand_in='found')
    assert (result.status, result.t_mat, result.fallback) == ('unidentified', 10, None)
    assert result.interval == (10, 40) and not result.outside_interval


@pytest.mark.parametrize('stand_in', ['paper', 'found'])
def test_nothing_stands_in_for_what_is_identified(stand_in):
    result = match(votes(0.9), task='hazy', stand_in=stand_in)
    assert (result.status, result.t_mat, result.fallback) == ('identified', 10, None)


def test_an_unknown_stand_in_is_refused_by_name():
    with pytest.raises(ValueError, match="stand_in='probe' must be one of paper, found"):
        match(votes(0.5), stand_in='probe')


@pytest.mark.parametrize(
    ('t_mat', 'outside'), [(7, True), (8, False), (10, False), (12, False), (13, True)]
)
def test_a_match_knows_whether_it_lies_in_its_interval(t_mat, outside):
    result = TimestepMatch(t_mat, (8, 12), 10, 0.9, 'unidentified', 'score', [(1, 0.5)], 9, 'paper')
    assert result.outside_interval == outside
    assert result.to_json()['outside_interval'] == outside


def test_a_match_returns_from_json_also_from_an_older_file():
    result = match(votes(0.5), task='hazy')
    plain = json.loads(json.dumps(result.to_json()))
    loaded = TimestepMatch.from_json(plain)
    assert loaded.curve == [list(point) for point in result.curve]
    assert dataclasses.replace(loaded, curve=result.curve) == result
    del plain['outside_interval'], plain['reason']
    assert TimestepMatch.from_json(plain) == dataclasses.replace(loaded, reason=None)


def test_an_interval_of_half_of_t_is_not_too_wide():
    assert match(votes(0.5), num_steps=60).status == 'identified'
    assert match(votes(0.5), num_steps=59).status == 'unidentified'


@pytest.mark.parametrize(
    ('method', 'error', 'status'),
    [
        ('linear_probe', 0.89, 'identified'),
        ('linear_probe', 0.91, 'unidentified'),
        # The others need a gain of more than one standard error, 0.16 / sqrt(64) = 0.02.
        ('score', 0.97, 'identified'),
        ('score', 0.99, 'unidentified'),
        ('score', 1.5, 'unidentified'),
        ('sdedit', 0.99, 'unidentified'),
        ('probe_train', 0.97, 'identified'),
        ('trajectory', 1.5, 'identified'),
    ],
)
def test_a_fit_that_explains_nothing_is_unidentified(method, error, status):
    curve = {t: spread(error + 0.1 * (t != 20), deviation=0.16) for t in range(1, 51)}
    curve[19] = curve[21] = curve[20]
    result = match(curve, method=method)
    assert result.status == status
    identified = status == 'identified'
    assert (result.t_mat, result.fallback) == ((20, None) if identified else (8, 'paper'))


LEVELS = np.random.default_rng(7).uniform(0.3, 0.7, 64)


def noisy(mean):
    """64 images of very different errors, with noise of their own at each step, about a mean."""

    def errors(t):
        return mean(t) + LEVELS - 0.5 + 0.05 * np.random.default_rng(t).standard_normal(64)

    return errors


@pytest.mark.parametrize(
    'errors',
    [lambda t: np.full(64, 0.5), lambda t: LEVELS, noisy(lambda t: 0.5)],
    ids=['constant', 'constant for each image', 'noise'],
)
@pytest.mark.parametrize('method', ['linear_probe', 'score', 'trajectory'])
def test_a_flat_curve_identifies_nothing(errors, method):
    result = match(errors, task='foggy', method=method)
    assert result.status == 'unidentified'
    assert 'the curve is flat: it spreads by' in result.reason
    assert result.interval == (1, 50) and result.median == 25
    assert result.confidence <= 5 / 50 and not result.outside_interval
    assert match(errors, task='hazy', method=method).t_mat == 47, 'Table 4 stands in'


@pytest.mark.parametrize(
    ('mean', 't_mat', 'tolerance'),
    [
        (lambda t: 0.3 + ((t - 25) / 50) ** 2, 25, 7),  # the smallest of what ties
        (lambda t: 0.3 + t / 100, 1, 1),
        (lambda t: 0.8 - t / 100, 50, 1),
        (lambda t: 0.6 - 0.3 * np.exp(-(((t - 11) / 4) ** 2)), 11, 2),
    ],
    ids=['U', 'rising', 'falling', 'dip'],
)
def test_a_curve_that_rises_above_its_noise_identifies_its_minimum(mean, t_mat, tolerance):
    result = match(noisy(mean), task='foggy')
    assert (result.status, result.reason) == ('identified', None)
    assert abs(result.t_mat - t_mat) <= tolerance and not result.outside_interval


def test_two_minima_far_apart_identify_neither():
    """They are equally deep on average, and half of the images prefers each."""
    halves = np.where(np.arange(64) % 2, 1, -1)

    def errors(t):
        at_6, at_43 = (np.exp(-(((t - place) / 4) ** 2)) for place in (6, 43))
        depths = 0.2 + 0.1 * halves, 0.2 - 0.1 * halves
        return 0.6 - depths[0] * at_6 - depths[1] * at_43

    result = match(errors, task='foggy', grid=range(1, 51))
    assert result.interval == (6, 43)
    assert result.status == 'unidentified'
    assert result.reason == 'the interval 6..43 is more than half of 1..50'


def test_one_flat_curve_in_twenty_is_taken_for_one_that_is_not():
    def errors(seed):
        rng = np.random.default_rng(seed)
        return {t: LEVELS + 0.05 * rng.standard_normal(64) for t in coarse_grid(50)}

    curves = [match(errors(seed), task='foggy') for seed in range(200)]
    spread_too_far = [m for m in curves if m.reason is None or 'flat' not in m.reason]
    assert len(spread_too_far) <= 20, 'binomial: more than 20 has a probability of 0.001'
    assert not any(m.outside_interval for m in curves)


def test_the_step_found_lies_in_its_interval():
    """Where images slope differently, early steps tie with the best of a shallow bowl."""
    t_mats = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        slopes, noise = 0.01 * rng.standard_normal(64), rng.standard_normal((51, 64))
        curve = {
            t: 0.5 + 1e-4 * (t - 26) ** 2 + slopes * (t - 26) + 0.01 * noise[t]
            for t in range(1, 51)
        }
        result = match(curve, task='foggy')
        assert result.interval[0] <= result.t_mat <= result.interval[1]
        t_mats.append(result.t_mat == result.interval[0])
    assert any(t_mats), 'or the case does not arise'


def test_what_explains_nothing_says_so():
    result = match(lambda t: np.full(8, 0.95 + abs(t - 20) / 1000), method='linear_probe')
    assert result.status == 'unidentified'
    assert result.reason == (
        'the best step takes 0.049 off the squared residual, and must take more than 0.1'
    )


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_errors_that_are_not_finite_are_refused_by_name(bad):
    def errors(t):
        return [0.5, bad if t == 12 else 0.5]

    with pytest.raises(ValueError, match='sdedit of hazy: errors at t=12 are not finite'):
        match(errors, task='hazy', method='sdedit')


def test_the_same_seed_gives_the_same_match():
    rng = np.random.default_rng(0)
    curve = {t: rng.uniform(0.2, 0.8, 12) + (t - 25) ** 2 / 1000 for t in range(1, 51, 7)}
    first, again, other = (match(curve, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.confidence != other.confidence


def test_no_gradients_are_kept():
    weight = torch.ones(4, requires_grad=True)
    assert match_timestep(lambda t: weight * t / 64, 'rainy', 'score', 50, 0, 'found').t_mat == 1


@pytest.mark.parametrize('task', PAPER_TIMESTEPS)
def test_the_papers_steps(task):
    result = given_timestep('paper', task, 50, 0)
    assert result.t_mat == PAPER_TIMESTEPS[task] == result.median
    assert result.interval == (result.t_mat, result.t_mat)
    assert (result.status, result.method, result.fallback) == ('given', 'paper', None)
    assert (result.curve, result.n) == ([], 0)


def test_fixed_steps():
    for t in (1, 17, 50):
        result = given_timestep(f'fixed:{t}', 'anything', 50, 0)
        assert (result.t_mat, result.status, result.method) == (t, 'given', f'fixed:{t}')


def test_random_steps_depend_on_seed_and_task_and_cover_all():
    drawn = [given_timestep('random', 'rainy', 5, seed).t_mat for seed in range(500)]
    assert drawn == [given_timestep('random', 'rainy', 5, seed).t_mat for seed in range(500)]
    assert drawn != [given_timestep('random', 'hazy', 5, seed).t_mat for seed in range(500)]
    counts = [drawn.count(t) for t in (1, 2, 3, 4, 5)]
    assert sum(counts) == 500 and stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(
    ('method', 'task', 'num_steps', 'message'),
    [
        ('paper', 'foggy', 50, "'foggy' is not in Table 4.*noisy, rainy.*blurry"),
        ('paper', 'hazy', 100, 'Table 4 is of T=50, the schedule has T=100'),
        ('fixed:0', 'hazy', 50, r"'fixed:0' gives t=0.*1\.\.50"),
        ('fixed:51', 'hazy', 50, r"'fixed:51' gives t=51.*1\.\.50"),
        ('fixed:-3', 'hazy', 50, "'fixed:-3' must be one of linear_probe, .*fixed:k"),
        ('fixed:', 'hazy', 50, "'fixed:' must be one of"),
        ('fixed', 'hazy', 50, "'fixed' must be one of"),
        ('papre', 'hazy', 50, "'papre' must be one of .*paper, random, or fixed:k"),
    ],
)
def test_steps_that_cannot_be_given(method, task, num_steps, message):
    with pytest.raises(ValueError, match=message):
        given_timestep(method, task, num_steps, 0)
