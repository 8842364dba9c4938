"""Intervals, p-values and verdicts of paired differences, by a bootstrap.

Differences are arrays (seeds, photographs), one for each task. Seeds and photographs are crossed,
since all seeds are tested on the same photographs, and both are resampled: a replicate draws rows
and columns, and its value is the mean over what it drew (the pigeonhole bootstrap of Owen, 2007).
n - 1 of n are drawn, which makes the variance of a mean unbiased (Rao and Wu, 1988).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

SUPPORTED, CONTRADICTED, INCONCLUSIVE = 'SUPPORTED', 'CONTRADICTED', 'INCONCLUSIVE'
# Standard errors of an effect that a two-sided 5 % test finds with 80 % probability: 1.96 + 0.84.
_VISIBLE = 2.80


@dataclass(frozen=True)
class Estimate:
    """A mean difference in dB.

    Args:
        mean: of the differences, tasks counting alike.
        low: of its 95 % interval.
        high: likewise.
        p: two-sided, of the mean being at the floor.
        visible: smallest effect that one test at 5 %, without correction, would have seen with 80 %
            probability, at the standard error observed.
        by_seed: mean of each seed.
    """

    mean: float
    low: float
    high: float
    p: float
    visible: float
    by_seed: tuple[float, ...] = ()


def bootstrap(
    differences: Sequence[np.ndarray],
    seeds: Sequence[tuple[int, ...]],
    replicates: int,
    level: float,
    floor: float = 0.0,
) -> Estimate:
    """The mean over tasks of mean differences, with its interval.

    Args:
        differences: of each task, (seeds, photographs); all on the same photographs.
        seeds: of each task; tasks with the same seeds share the draws of seeds.
        replicates: number of bootstrap replicates.
        level: 0.05 for an interval of 95 %.
        floor: value that ``p`` tests against.
    """
    mean = float(np.mean([values.mean() for values in differences]))
    columns = _shares((0, 0), differences[0].shape[1], replicates)
    each = [
        ((_shares((0, 1, *group), len(group), replicates) @ rows) * columns).sum(1)
        for rows, group in zip(differences, seeds, strict=True)
    ]
    values = np.mean(each, axis=0)
    low, high = np.quantile(values, [level / 2, 1 - level / 2])
    below, above = (values <= floor).sum(), (values >= floor).sum()
    p = min(1.0, (min(below, above) + 1) * least_p(replicates))
    by_seed = tuple(map(float, differences[0].mean(1))) if len(differences) == 1 else ()
    return Estimate(
        mean, float(low), float(high), float(p), _VISIBLE * float(values.std()), by_seed
    )


def least_p(replicates: int) -> float:
    """The smallest p-value that ``bootstrap`` can return: no replicate on one side of the floor."""
    return 2 / (replicates + 1)


@cache
def _shares(key: tuple[int, ...], count: int, replicates: int) -> np.ndarray:
    """Shares (replicates, count) of each item among those drawn with replacement."""
    drawn = max(count - 1, 1)
    chances = np.full(count, 1 / count)
    return np.random.default_rng(key).multinomial(drawn, chances, replicates) / drawn


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values: of m, the k-th smallest times m - k + 1, made monotone."""
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(values, key=lambda key: values[key])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in values}


def verdict(
    pooled: Estimate,
    tasks: Sequence[Estimate],
    adjusted_p: float,
    floor: float,
    min_gain: float,
    level: float,
) -> str:
    """SUPPORTED, CONTRADICTED or INCONCLUSIVE, by the rule of ``hypotheses.RULE``.

    Args:
        pooled: over the tasks.
        tasks: of each task, with ``by_seed``.
        adjusted_p: of the pooled difference, after Holm's correction.
        floor: 0, or a negative loss that still counts as none.
        min_gain: smallest mean of a task that counts, if the floor is 0.
        level: of significance.
    """
    if adjusted_p >= level:
        return INCONCLUSIVE
    if pooled.high < floor:
        return CONTRADICTED
    least = min_gain if floor == 0 else floor
    holds = pooled.low > floor and all(
        task.low > floor and task.mean >= least and min(task.by_seed) > floor for task in tasks
    )
    return SUPPORTED if holds else INCONCLUSIVE
