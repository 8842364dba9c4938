"""The matching time step t_mat of a degradation, with what is known of its certainty.

From the errors of a criterion (timestep_errors.py): mean over images, smooth over three steps, take
the smallest step that is not worse than the best by more than the standard error of their
difference. Images are bootstrapped for the interval of the best step.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from dtir_mm.diffusion.timestep_errors import ErrorsAt
from dtir_mm.diffusion.timesteps_file import PAPER_TIMESTEPS

METHODS = ('linear_probe', 'score', 'sdedit', 'trajectory', 'probe_train', 'paper', 'random')
PROBE_TRAIN_GRID = (1, 8, 16, 24, 32, 40, 50)
_COARSE = (0.0, 0.02, 0.06, 0.10, 0.14, 0.22, 0.31, 0.43, 0.55, 0.71, 0.88, 1.0)
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
        confidence: bootstrap probability that the best step lies within 2 of ``t_mat``.
        status: "identified", "unidentified" (the curve is flat or fits nothing), or "given".
        method: the criterion.
        curve: evaluated steps and mean relative errors.
        n: how many images.
        fallback: where ``t_mat`` came from when it was not identified: "paper" for Table 4, else
            None.
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

    def to_json(self) -> dict:
        """Plain data for ``write_timesteps``."""
        return asdict(self)


def coarse_grid(num_steps: int) -> list[int]:
    """Twelve steps of 1..T, denser where images still show."""
    return sorted({1 + round(place * (num_steps - 1)) for place in _COARSE})


def match_timestep(
    errors_at: ErrorsAt,
    task: str,
    method: str,
    num_steps: int,
    seed: int,
    grid: Sequence[int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> TimestepMatch:
    """Searches 1..T from coarse to fine; at most 18 evaluations of ``errors_at``.

    Args:
        errors_at: relative errors (N,) of the images at a step.
        task: its Table 4 value stands in where nothing is identified.
        method: the criterion's name.
        num_steps: T.
        seed: of the bootstrap.
        grid: evaluate these steps alone instead of the coarse grid and its refinement.
        progress: called with each step that was evaluated.
    """
    evaluated: dict[int, np.ndarray] = {}

    def evaluate(steps: Sequence[int]) -> None:
        for t in steps:
            if t not in evaluated:
                evaluated[t] = np.asarray(errors_at(t), dtype=np.float64)
                if progress is not None:
                    progress(t)

    with torch.no_grad():
        evaluate(grid if grid is not None else coarse_grid(num_steps))
        if grid is None:
            best = min(evaluated, key=lambda t: evaluated[t].mean())
            evaluate(range(max(best - _REFINE, 1), min(best + _REFINE, num_steps) + 1))
    return _conclude(evaluated, task, method, num_steps, seed)


def _conclude(
    evaluated: dict[int, np.ndarray], task: str, method: str, num_steps: int, seed: int
) -> TimestepMatch:
    steps = sorted(evaluated)
    errors = _smoothed(np.stack([evaluated[t] for t in steps]), steps, num_steps)
    t_mat = _smallest_of_the_best(errors)
    interval, median, confidence = _bootstrap(errors, t_mat, seed)
    least = float(errors.mean(1).min())
    flat = interval[1] - interval[0] > num_steps / 2
    useless = least > (1 - _MIN_R2 if method == 'linear_probe' else 1)
    unidentified = method != 'trajectory' and (flat or useless)
    fallback = 'paper' if unidentified and task in PAPER_TIMESTEPS else None
    return TimestepMatch(
        t_mat=PAPER_TIMESTEPS[task] if fallback else t_mat,
        interval=interval,
        median=median,
        confidence=confidence,
        status='unidentified' if unidentified else 'identified',
        method=method,
        curve=[(t, float(evaluated[t].mean())) for t in steps],
        n=errors.shape[1],
        fallback=fallback,
    )


def _smoothed(errors: np.ndarray, steps: list[int], num_steps: int) -> np.ndarray:
    """Errors (S, N) at some steps, interpolated to all of 1..T and averaged over three: (T, N)."""
    every = np.arange(1, num_steps + 1)
    full = np.stack([np.interp(every, steps, image) for image in errors.T], axis=1)
    padded = np.concatenate([full[:1], full, full[-1:]])
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def _smallest_of_the_best(errors: np.ndarray) -> int:
    """The smallest step within one standard error, of the paired difference, of the best step."""
    best = errors.mean(1).argmin()
    excess = errors - errors[best]
    spread = excess.std(1, ddof=1) / np.sqrt(errors.shape[1]) if errors.shape[1] > 1 else 0
    return int(np.flatnonzero(excess.mean(1) <= spread)[0]) + 1


def _bootstrap(errors: np.ndarray, t_mat: int, seed: int) -> tuple[tuple[int, int], int, float]:
    """90 % interval and median of the best step over resampled images, and P(within 2)."""
    count = errors.shape[1]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=_NUM_BOOTSTRAP)
    best = (errors @ weights.T).argmin(0) + 1
    low, median, high = np.percentile(best, [5, 50, 95], method='nearest')
    return (int(low), int(high)), int(median), float((abs(best - t_mat) <= 2).mean())


def given_timestep(method: str, task: str, num_steps: int, seed: int) -> TimestepMatch:
    """A step that is not searched for: "paper" (Table 4), "fixed:k" or "random".

    Raises:
        ValueError: the method is none of these, the task is not in Table 4, or k not in 1..T.
    """
    if method == 'paper':
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
