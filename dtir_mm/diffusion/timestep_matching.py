"""The matching time step t_mat of a degradation, with what is known of its certainty.

From the errors of a criterion (timestep_errors.py): mean over images, smooth over three steps,
bootstrap images for the interval of the best step, and take the smallest evaluated step in it that
is not worse than the best by more than the standard error of their difference. Where the curve
spreads no more than a flat one with its noise would, every step is as good as another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch

from dtir_mm.diffusion.timestep_errors import ErrorsAt
from dtir_mm.diffusion.timesteps_file import PAPER_NUM_STEPS, PAPER_TIMESTEPS

STAND_INS = ('paper', 'found')
METHODS = ('linear_probe', 'score', 'sdedit', 'trajectory', 'probe_train', 'paper', 'random')
_PROBE_TRAIN = (0.02, 0.16, 0.32, 0.48, 0.64, 0.8, 1.0)
_COARSE = (0.0, 0.02, 0.06, 0.10, 0.14, 0.22, 0.31, 0.43, 0.57, 0.71, 0.86, 1.0)
_REFINE = 3
_NUM_BOOTSTRAP = 1000
_MIN_R2 = 0.1
# What a network in float32 makes of errors that are equal at all steps.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class TimestepMatch:
    """What a search found for one task.

    Args:
        t_mat: the matching time step, 1..T.
        interval: 90 % bootstrap interval of the best step; 1..T where the curve is flat.
        median: bootstrap median of the best step.
        confidence: bootstrap probability that the best step lies within 2 of the one found; where
            the curve is flat, the share of steps that do.
        status: "identified"; "unidentified", where the curve is flat, the interval is wider than
            T / 2, or the best step explains less than a tenth of the residual (linear_probe) or is
            not significantly better than doing nothing (the others); or "given".
        method: the criterion.
        curve: evaluated steps and mean relative errors.
        n: how many images.
        fallback: "paper" if ``t_mat`` is not the one found but Table 4's, else None.
        reason: why it is unidentified, in words; None where it is not.
    """

    t_mat: int
    interval: tuple[int, int]
    median: int
    confidence: float
    status: str
    method: str
    curve: list[tuple[int, float]]
    n: int
    fallback: str | None = None
    reason: str | None = None

    @property
    def outside_interval(self) -> bool:
        """Whether ``t_mat`` lies outside its own interval, as Table 4's alone may."""
        low, high = self.interval
        return not low <= self.t_mat <= high

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``write_timesteps``."""
        return asdict(self) | {'outside_interval': self.outside_interval}

    @classmethod
    def from_json(cls, match: Mapping[str, Any]) -> 'TimestepMatch':
        """The match of ``to_json``, or of an older file, which tells less."""
        names = {field.name for field in fields(cls)} & match.keys()
        known = {name: match[name] for name in names}
        return cls(**known | {'interval': tuple(match['interval'])})


def probe_train_grid(num_steps: int) -> list[int]:
    """Seven steps of 1..T, since each costs a training: 1, 8, 16, 24, 32, 40 and 50 of 50."""
    return sorted({max(round(place * num_steps), 1) for place in _PROBE_TRAIN})


def coarse_grid(num_steps: int) -> list[int]:
    """Twelve steps of 1..T, denser where images still show."""
    return sorted({1 + round(place * (num_steps - 1)) for place in _COARSE})


def match_timestep(
    errors_at: ErrorsAt,
    task: str,
    method: str,
    num_steps: int,
    seed: int,
    stand_in: str,
    grid: Sequence[int] | None = None,
    progress: Callable[[int], None] | None = None,
    why_flat: str | None = None,
) -> TimestepMatch:
    """Searches 1..T from coarse to fine; at most 18 evaluations of ``errors_at``.

    Args:
        errors_at: relative errors (N,) of the images at a step.
        task: the task's name.
        method: the criterion's name.
        num_steps: T.
        seed: of the bootstrap.
        stand_in: what t_mat is where nothing is identified: "paper", the task's value in Table 4,
            if it has one and T is 50; "found", the best step of the curve itself.
        grid: evaluate these steps alone instead of the coarse grid and its refinement.
        progress: called with each step that was evaluated.
        why_flat: why the curve counts as flat whatever its shape; None to judge by its shape.

    Raises:
        ValueError: an error is not finite, or ``stand_in`` is neither.
    """
    if stand_in not in STAND_INS:
        raise ValueError(f'stand_in={stand_in!r} must be one of {", ".join(STAND_INS)}')
    evaluated: dict[int, np.ndarray] = {}

    def evaluate(steps: Sequence[int]) -> None:
        for t in steps:
            if t not in evaluated:
                evaluated[t] = np.asarray(errors_at(t), dtype=np.float64)
                if not np.isfinite(evaluated[t]).all():
                    raise ValueError(f'{method} of {task}: errors at t={t} are not finite')
                if progress is not None:
                    progress(t)

    with torch.no_grad():
        evaluate(grid if grid is not None else coarse_grid(num_steps))
        if grid is None:
            best = min(evaluated, key=lambda t: evaluated[t].mean())
            evaluate(range(max(best - _REFINE, 1), min(best + _REFINE, num_steps) + 1))
    table_4 = stand_in == 'paper' and num_steps == PAPER_NUM_STEPS
    paper = PAPER_TIMESTEPS.get(task) if table_4 else None
    return _conclude(evaluated, method, num_steps, seed, paper, why_flat)


def _conclude(
    evaluated: dict[int, np.ndarray],
    method: str,
    num_steps: int,
    seed: int,
    paper: int | None,
    why_flat: str | None,
) -> TimestepMatch:
    steps = np.array(sorted(evaluated))
    errors = _smoothed(np.stack([evaluated[t] for t in steps]), steps, num_steps)
    weights = _resamples(errors.shape[1], seed)
    best = errors.mean(1).argmin()
    flat = why_flat or _why_flat(errors, weights)
    if flat:
        best_steps = np.arange(1, num_steps + 1)
        low, high = 1, num_steps
    else:
        best_steps = steps[(errors @ weights).argmin(0)]
        low, high = map(int, np.percentile(best_steps, [5, 95], method='nearest'))
    inside = (steps >= low) & (steps <= high)
    found = int(steps[_first_tie(errors, best, inside)])
    reason = flat or _why_wide(low, high, num_steps)
    if method != 'trajectory':
        reason = reason or _why_useless(errors[best], method)
    fall_back = reason is not None and paper is not None
    return TimestepMatch(
        t_mat=paper if fall_back else found,
        interval=(low, high),
        median=int(np.percentile(best_steps, 50, method='nearest')),
        confidence=float((abs(best_steps - found) <= 2).mean()),
        status='unidentified' if reason else 'identified',
        method=method,
        curve=[(int(t), float(evaluated[t].mean())) for t in steps],
        n=errors.shape[1],
        fallback='paper' if fall_back else None,
        reason=reason,
    )


def _smoothed(errors: np.ndarray, steps: np.ndarray, num_steps: int) -> np.ndarray:
    """Errors (S, N) at S steps, averaged with those of both neighbours in 1..T.

    Neighbours that were not evaluated are interpolated; beyond the ends the curve goes on flat.
    """
    around = [np.clip(steps + shift, 1, num_steps) for shift in (-1, 0, 1)]
    images = [np.mean([np.interp(ts, steps, image) for ts in around], axis=0) for image in errors.T]
    return np.stack(images, axis=1)


def _first_tie(errors: np.ndarray, best: int, inside: np.ndarray) -> int:
    """The first row inside the interval whose mean is the best's but for one standard error.

    The error is that of the paired difference, since the same images make both rows. Where none of
    these rows lies inside, which takes an odd set of images, it is the best row inside.
    """
    excess = errors - errors[best]
    ties = (excess.mean(1) <= _standard_error(excess)) & inside
    if ties.any():
        return int(ties.argmax())
    return int(np.where(inside, errors.mean(1), np.inf).argmin())


def _standard_error(values: np.ndarray) -> np.ndarray:
    """Of the mean over the last axis; zero for a single value."""
    count = values.shape[-1]
    return values.std(-1, ddof=min(count - 1, 1)) / np.sqrt(count)


def _resamples(count: int, seed: int) -> np.ndarray:
    """How often each of N images is drawn, as shares of N, in 1000 resamples: (N, 1000)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=_NUM_BOOTSTRAP).T / count


def _why_flat(errors: np.ndarray, weights: np.ndarray) -> str | None:
    """Why the mean curve of errors (S, N) is taken for flat, or None where it is not.

    It is compared with flat curves of the same noise: the errors without their means over images,
    resampled. Of these, one in twenty spreads more than what is said to be noise.
    """
    spread = np.ptp(errors.mean(1))
    centred = errors - errors.mean(1, keepdims=True)
    noise = max(float(np.percentile(np.ptp(centred @ weights, axis=0), 95)), _ROUNDING)
    if spread > noise:
        return None
    return f'the curve is flat: it spreads by {spread:.2g}, where noise alone makes {noise:.2g}'


def _why_wide(low: int, high: int, num_steps: int) -> str | None:
    """Why an interval says nothing, or None where it is at most half as wide as 1..T."""
    if high - low <= num_steps / 2:
        return None
    return f'the interval {low}..{high} is more than half of 1..{num_steps}'


def _why_useless(errors: np.ndarray, method: str) -> str | None:
    """Why relative errors (N,) are no better than those of doing nothing, 1; None if they are."""
    gain = 1 - errors
    least = _MIN_R2 if method == 'linear_probe' else _standard_error(gain)
    if gain.mean() > least:
        return None
    return (
        f'the best step takes {gain.mean():.2g} off the squared residual, and must take more than '
        f'{least:.2g}'
    )


def given_timestep(method: str, task: str, num_steps: int, seed: int) -> TimestepMatch:
    """A step that is not searched for: "paper" (Table 4), "fixed:k" or "random".

    Raises:
        ValueError: the method is none of these, the task or T not that of Table 4, or k not in
            1..T.
    """
    if method == 'paper':
        if num_steps != PAPER_NUM_STEPS:
            raise ValueError(f'Table 4 is of T={PAPER_NUM_STEPS}, the schedule has T={num_steps}')
        if task not in PAPER_TIMESTEPS:
            raise ValueError(f'{task!r} is not in Table 4, which has {", ".join(PAPER_TIMESTEPS)}')
        t = PAPER_TIMESTEPS[task]
    elif method == 'random':
        t = int(np.random.default_rng([seed, *task.encode()]).integers(1, num_steps + 1))
    elif method.startswith('fixed:') and method.removeprefix('fixed:').isdigit():
        t = int(method.removeprefix('fixed:'))
    else:
        raise ValueError(f'method {method!r} must be one of {", ".join(METHODS)}, or fixed:k')
    if not 1 <= t <= num_steps:
        raise ValueError(f'method {method!r} gives t={t}; it must lie in 1..{num_steps}')
    return TimestepMatch(t, (t, t), t, 1.0, 'given', method, [], 0)
