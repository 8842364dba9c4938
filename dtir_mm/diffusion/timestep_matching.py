"""The matching time step t_mat of a degradation, with what is known of its certainty.

From the errors of a criterion (timestep_errors.py): mean over images, smooth over three steps, take
the smallest evaluated step that is not worse than the best by more than the standard error of their
difference. Images are bootstrapped for the interval of the best step.
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


@dataclass(frozen=True)
class TimestepMatch:
    """What a search found for one task.

    Args:
        t_mat: the matching time step, 1..T.
        interval: 90 % bootstrap interval of the best step.
        median: bootstrap median of the best step.
        confidence: bootstrap probability that the best step lies within 2 of the one found.
        status: "identified"; "unidentified", where the interval is wider than T / 2, or the best
            step explains less than a tenth of the residual (linear_probe) or is not significantly
            better than doing nothing (the others); or "given".
        method: the criterion.
        curve: evaluated steps and mean relative errors.
        n: how many images.
        fallback: "paper" if ``t_mat`` is not the one found but Table 4's, else None.
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

    @property
    def outside_interval(self) -> bool:
        """Whether ``t_mat`` lies outside its own interval, as Table 4's may."""
        low, high = self.interval
        return not low <= self.t_mat <= high

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``write_timesteps``."""
        return asdict(self) | {'outside_interval': self.outside_interval}

    @classmethod
    def from_json(cls, match: Mapping[str, Any]) -> 'TimestepMatch':
        """The match of ``to_json``, or of an older file, which does not say "outside_interval"."""
        known = {field.name: match[field.name] for field in fields(cls)}
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
    return _conclude(evaluated, method, num_steps, seed, paper)


def _conclude(
    evaluated: dict[int, np.ndarray], method: str, num_steps: int, seed: int, paper: int | None
) -> TimestepMatch:
    steps = np.array(sorted(evaluated))
    errors = _smoothed(np.stack([evaluated[t] for t in steps]), steps, num_steps)
    best = errors.mean(1).argmin()
    found = int(steps[_first_tie(errors, best)])
    resampled = steps[_resampled_best(errors, seed)]
    low, median, high = map(int, np.percentile(resampled, [5, 50, 95], method='nearest'))
    flat = high - low > num_steps / 2
    identified = method == 'trajectory' or not (flat or _fits_nothing(errors[best], method))
    fall_back = not identified and paper is not None
    return TimestepMatch(
        t_mat=paper if fall_back else found,
        interval=(low, high),
        median=median,
        confidence=float((abs(resampled - found) <= 2).mean()),
        status='identified' if identified else 'unidentified',
        method=method,
        curve=[(int(t), float(evaluated[t].mean())) for t in steps],
        n=errors.shape[1],
        fallback='paper' if fall_back else None,
    )


def _smoothed(errors: np.ndarray, steps: np.ndarray, num_steps: int) -> np.ndarray:
    """Errors (S, N) at S steps, averaged with those of both neighbours in 1..T.

    Neighbours that were not evaluated are interpolated; beyond the ends the curve goes on flat.
    """
    around = [np.clip(steps + shift, 1, num_steps) for shift in (-1, 0, 1)]
    images = [np.mean([np.interp(ts, steps, image) for ts in around], axis=0) for image in errors.T]
    return np.stack(images, axis=1)


def _first_tie(errors: np.ndarray, best: int) -> int:
    """The first row whose mean exceeds the best row's by at most one standard error.

    The error is that of the paired difference, since the same images make both rows.
    """
    excess = errors - errors[best]
    return int(np.flatnonzero(excess.mean(1) <= _standard_error(excess))[0])


def _standard_error(values: np.ndarray) -> np.ndarray:
    """Of the mean over the last axis; zero for a single value."""
    count = values.shape[-1]
    return values.std(-1, ddof=min(count - 1, 1)) / np.sqrt(count)


def _resampled_best(errors: np.ndarray, seed: int) -> np.ndarray:
    """The best row for each of 1000 resamples of the images."""
    count = errors.shape[1]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=_NUM_BOOTSTRAP)
    return (errors @ weights.T).argmin(0)


def _fits_nothing(errors: np.ndarray, method: str) -> bool:
    """Whether relative errors (N,) are no better than those of doing nothing, which are 1."""
    gain = 1 - errors
    least = _MIN_R2 if method == 'linear_probe' else _standard_error(gain)
    return bool(gain.mean() <= least)


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
