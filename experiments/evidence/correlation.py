"""Rank correlations, with intervals and verdicts."""

from dataclasses import dataclass

import numpy as np

from evidence.hypotheses import LEVEL, REPLICATES
from evidence.inference import CONTRADICTED, INCONCLUSIVE, SUPPORTED


def rank_correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's correlations (...) of vectors (..., N), 0 where one is constant."""
    x, y = (_ranks(values) - (values.shape[-1] + 1) / 2 for values in (x, y))
    size = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return (x * y).sum(-1) / np.where(size == 0, 1, size)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the last axis, ties at their mean."""
    one, other = values[..., :, None], values[..., None, :]
    return (one > other).sum(-1) + ((one == other).sum(-1) + 1) / 2


@dataclass(frozen=True)
class Correlation:
    """A mean rank correlation over seeds, with its interval and verdict.

    Args:
        mean: over seeds.
        low: of the 95 % interval, from a bootstrap over degradations.
        high: likewise.
        verdict: SUPPORTED if all seeds and the interval are above 0.
    """

    mean: float
    low: float
    high: float
    verdict: str


def correlation(steps: np.ndarray, order: np.ndarray) -> Correlation:
    """The correlation of steps (seeds, degradations) with an order (degradations,)."""
    by_seed = rank_correlation(steps, order)
    drawn = np.random.default_rng(0).integers(len(order), size=(REPLICATES, len(order)))
    samples = np.mean([rank_correlation(row[drawn], order[drawn]) for row in steps], axis=0)
    low, high = np.quantile(samples, [LEVEL / 2, 1 - LEVEL / 2])
    verdict = INCONCLUSIVE
    if low > 0 and min(by_seed) > 0:
        verdict = SUPPORTED
    elif high < 0:
        verdict = CONTRADICTED
    return Correlation(float(np.mean(by_seed)), float(low), float(high), verdict)
