"""Bootstrap, Holm's correction and verdicts, against scipy, formulas and known effects."""

import numpy as np
import pytest
from evidence.correlation import correlation, rank_correlation
from evidence.inference import (
    CONTRADICTED,
    INCONCLUSIVE,
    SUPPORTED,
    Estimate,
    bootstrap,
    holm,
    verdict,
)
from scipy import stats

FIVE = (0, 1, 2, 3, 4)


def estimate(values: np.ndarray, **options) -> Estimate:
    return bootstrap([values], [tuple(range(len(values)))], 4000, 0.05, **options)


def synthetic(effect: float, seeds: int = 5, spread: float = 0.1, rng: int = 0) -> np.ndarray:
    """Differences (seeds, 14) around an effect, with variance between seeds and photographs."""
    generator = np.random.default_rng(rng)
    between = generator.normal(0, spread, (seeds, 1)) + generator.normal(0, spread, (1, 14))
    return effect + between + generator.normal(0, spread, (seeds, 14))


def test_one_seed_is_the_ordinary_bootstrap():
    values = np.random.default_rng(1).normal(0.3, 1, (1, 60))
    ours = estimate(values)
    reference = stats.bootstrap((values[0],), np.mean, n_resamples=4000, method='percentile', rng=0)
    assert ours.mean == pytest.approx(values.mean())
    narrower = np.sqrt(59 / 60)  # n - 1 are drawn here, n there
    interval = ours.mean + narrower * (np.array([ours.low, ours.high]) - ours.mean)
    assert interval == pytest.approx(np.array(reference.confidence_interval), abs=0.02)
    assert narrower * ours.visible == pytest.approx(2.8 * reference.standard_error, rel=0.05)


def test_standard_error_of_few_seeds_is_that_of_a_mean():
    # Photographs without variance: only the seeds count, s / sqrt(n).
    values = np.repeat(np.array([[0.1], [0.4], [0.2], [0.9], [0.3]]), 14, axis=1)
    assert estimate(values).visible == pytest.approx(2.8 * stats.sem(values[:, 0]), rel=0.05)


def test_photographs_are_the_same_for_all_seeds():
    # No variance but between photographs: averaging over seeds must not reduce it.
    photographs = np.random.default_rng(0).normal(0, 1, 14)
    values = np.repeat(photographs[None], 5, axis=0)
    assert estimate(values).visible == pytest.approx(2.8 * stats.sem(photographs), rel=0.05)


def test_tasks_count_alike_and_share_photographs():
    first, second = synthetic(0.2), synthetic(0.6, 3, rng=1)
    pooled = bootstrap([first, second], [FIVE, FIVE[:3]], 1000, 0.05)
    assert pooled.mean == pytest.approx((first.mean() + second.mean()) / 2)
    once, twice = (bootstrap([first] * n, [FIVE] * n, 1000, 0.05) for n in (1, 2))
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


def test_p_is_small_only_with_an_effect():
    assert estimate(synthetic(0.5)).p == pytest.approx(2 / 4001)
    assert estimate(synthetic(0.0)).p > 0.05
    assert estimate(synthetic(-0.05), floor=-0.5).p < 0.01


def test_the_same_numbers_again():
    assert estimate(synthetic(0.1)) == estimate(synthetic(0.1))


def test_holm_by_hand():
    # Sorted .005 .011 .02 .04 .13: times 5, 4, 3, 2, 1 is .025 .044 .06 .08 .13.
    values = {'a': 0.04, 'b': 0.011, 'c': 0.13, 'd': 0.005, 'e': 0.02}
    expected = {'a': 0.08, 'b': 0.044, 'c': 0.13, 'd': 0.025, 'e': 0.06}
    assert holm(values) == pytest.approx(expected)
    # Not below that of a smaller one: .01 x 3 = .03, .011 x 2 = .022 becomes .03; at most 1.
    assert holm({'a': 0.01, 'b': 0.011, 'c': 1.0}) == pytest.approx({'a': 0.03, 'b': 0.03, 'c': 1})


def decide(*tasks: np.ndarray, p: float = 0.001, floor: float = 0.0) -> str:
    seeds = [tuple(range(len(values))) for values in tasks]
    pooled = bootstrap(tasks, seeds, 1000, 0.05, floor)
    each = [bootstrap([t], [s], 1000, 0.05, floor) for t, s in zip(tasks, seeds, strict=True)]
    return verdict(pooled, each, p, floor, min_gain=0.1, level=0.05)


def test_verdicts_on_known_effects():
    gain, loss, small = synthetic(0.6), synthetic(-0.6), synthetic(0.05, spread=0.01)
    assert decide(gain, gain) == SUPPORTED
    assert decide(loss, loss) == CONTRADICTED
    assert decide(gain, gain, p=0.06) == INCONCLUSIVE  # after the correction
    assert decide(loss, loss, p=0.06) == INCONCLUSIVE
    assert decide(gain, small) == INCONCLUSIVE  # below 0.1 dB on one task
    assert decide(synthetic(0.0)) == INCONCLUSIVE


def test_a_seed_of_the_other_sign_is_no_support():
    values = synthetic(3.0, spread=0.01)
    assert decide(values) == SUPPORTED
    values[0] = -0.05
    assert decide(values) == INCONCLUSIVE


def test_a_loss_within_the_tolerance_counts_as_none():
    assert decide(synthetic(-0.03, spread=0.01), floor=-0.1) == SUPPORTED
    assert decide(synthetic(-0.3, spread=0.01), floor=-0.1) == CONTRADICTED


def test_rank_correlation_is_spearmans():
    generator = np.random.default_rng(3)
    x, y = generator.integers(0, 5, 10), generator.integers(0, 5, 10)
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert rank_correlation(np.ones(4), np.arange(4)) == 0


def test_correlation_needs_all_seeds():
    order = np.arange(10)
    rising, falling = order + 1, 10 - order
    assert correlation(np.array([rising, rising]), order).verdict == SUPPORTED
    assert correlation(np.array([falling, falling]), order).verdict == CONTRADICTED
    assert correlation(np.array([rising, falling]), order).verdict == INCONCLUSIVE
