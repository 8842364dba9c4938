"""From the errors of a criterion to the matching time step, its interval and its status.

The errors are averaged over images and smoothed over three time steps. Resampling the images
(bootstrap) gives an interval of the best step; t_mat is the smallest evaluated step in it that is
worse than the best by no more than the standard error of their difference.
"""

from collections.abc import Mapping

import numpy as np

from dtir_mm.matching.timestep_match import TimestepMatch

_NUM_BOOTSTRAP = 1000
# In float32, errors that are equal at all steps differ by less.
_ROUNDING = 1e-4


def conclude(
    evaluated: Mapping[int, np.ndarray],
    method: str,
    num_steps: int,
    seed: int,
    min_gain: float | None = None,
    why_flat: str | None = None,
) -> TimestepMatch:
    """The matching time step by relative errors.

    It is unidentified if the curve is flat, if the interval is wider than T / 2, or if the best
    step is not clearly better than doing nothing.

    Args:
        evaluated: relative errors (N,) of the same images by time step.
        method: the criterion's name.
        num_steps: T.
        seed: of the bootstrap.
        min_gain: see ``Criterion``.
        why_flat: why the curve counts as flat regardless of its shape; None to judge by its shape.
    """
    steps = np.array(sorted(evaluated))
    errors = _smoothed(np.stack([evaluated[t] for t in steps]), steps, num_steps)
    weights = _resamples(errors.shape[1], seed)
    best = int(errors.mean(1).argmin())
    flat = why_flat or _why_flat(errors, weights)
    if flat:
        best_steps = np.arange(1, num_steps + 1)
        low, high = 1, num_steps
    else:
        best_steps = steps[(errors @ weights).argmin(0)]
        low, high = map(int, np.percentile(best_steps, [5, 95], method='nearest'))
    inside = (steps >= low) & (steps <= high)
    found = int(steps[_first_tie(errors, best, inside)])
    reason = flat or _why_wide(low, high, num_steps) or _why_useless(errors[best], min_gain)
    return TimestepMatch(
        t_mat=found,
        interval=(low, high),
        median=int(np.percentile(best_steps, 50, method='nearest')),
        confidence=float((abs(best_steps - found) <= 2).mean()),
        status='unidentified' if reason else 'identified',
        method=method,
        curve=[(int(t), float(evaluated[t].mean())) for t in steps],
        n=errors.shape[1],
        reason=reason,
    )


def _smoothed(errors: np.ndarray, steps: np.ndarray, num_steps: int) -> np.ndarray:
    """Errors (S, N) at S steps, averaged with those of both neighbours in 1..T.

    Neighbours that were not evaluated are interpolated; beyond both ends the curve is constant.
    """
    around = [np.clip(steps + shift, 1, num_steps) for shift in (-1, 0, 1)]
    images = [np.mean([np.interp(ts, steps, image) for ts in around], axis=0) for image in errors.T]
    return np.stack(images, axis=1)


def _first_tie(errors: np.ndarray, best: int, inside: np.ndarray) -> int:
    """The first row inside the interval that is at most one standard error worse than the best.

    The standard error is that of the paired difference, since both rows are of the same images. In
    the rare case that no such row lies inside, it is the best row inside.
    """
    excess = errors - errors[best]
    ties = (excess.mean(1) <= _standard_error(excess)) & inside
    if ties.any():
        return int(ties.argmax())
    return int(np.where(inside, errors.mean(1), np.inf).argmin())


def _standard_error(values: np.ndarray) -> np.ndarray:
    """The standard error of the mean over the last axis; zero for a single value."""
    count = values.shape[-1]
    return values.std(-1, ddof=min(count - 1, 1)) / np.sqrt(count)


def _resamples(count: int, seed: int) -> np.ndarray:
    """How often each of N images is drawn, as a fraction of N, in 1000 resamples: (N, 1000)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=_NUM_BOOTSTRAP).T / count


def _why_flat(errors: np.ndarray, weights: np.ndarray) -> str | None:
    """Why the mean curve of errors (S, N) counts as flat; None if it does not.

    Its spread is compared with the 95th percentile of the spread of flat curves with the same
    noise: resamples of the errors less their means over images.
    """
    spread = np.ptp(errors.mean(1))
    centred = errors - errors.mean(1, keepdims=True)
    noise = max(float(np.percentile(np.ptp(centred @ weights, axis=0), 95)), _ROUNDING)
    if spread > noise:
        return None
    return f'the curve is flat: it spreads over {spread:.2g}, noise alone over {noise:.2g}'


def _why_wide(low: int, high: int, num_steps: int) -> str | None:
    """Why an interval is too wide; None if it covers at most half of 1..T."""
    if high - low <= num_steps / 2:
        return None
    return f'the interval {low}..{high} covers more than half of 1..{num_steps}'


def _why_useless(errors: np.ndarray, min_gain: float | None) -> str | None:
    """Why relative errors (N,) are no better than those of doing nothing, 1; None if they are."""
    gain = 1 - errors
    least = _standard_error(gain) if min_gain is None else min_gain
    if gain.mean() > least:
        return None
    return (
        f'the best step explains {gain.mean():.2g} of the squared residual, and must explain more '
        f'than {least:.2g}'
    )
