"""The time steps that a criterion is evaluated at: a coarse grid, then neighbours of its best."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from dtir_mm.matching.criteria.criterion import ErrorsAt

# Fractions of 1..T.
_COARSE = (0.0, 0.02, 0.06, 0.10, 0.14, 0.22, 0.31, 0.43, 0.57, 0.71, 0.86, 1.0)
_NEIGHBOURS = 3


def coarse_grid(num_steps: int) -> list[int]:
    """Twelve time steps of 1..T, denser at small t, where the image is still visible."""
    return sorted({1 + round(fraction * (num_steps - 1)) for fraction in _COARSE})


@torch.no_grad()
def search(
    errors_at: ErrorsAt,
    num_steps: int,
    grid: Sequence[int] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[int, np.ndarray]:
    """Relative errors (N,) by time step: of a grid, or of at most 18 steps from coarse to fine.

    Args:
        errors_at: the errors of a criterion at a time step.
        num_steps: T.
        grid: the time steps to evaluate; None for the coarse grid and three steps on either side
            of its best.
        progress: called with the number of steps evaluated and an upper bound of their total.

    Raises:
        ValueError: the grid leaves 1..T, or errors are not finite or not of shape (N,).
    """
    if grid is not None and not (grid and all(1 <= t <= num_steps for t in grid)):
        raise ValueError(f'the grid {list(grid)} of the criterion must be steps of 1..{num_steps}')
    evaluated: dict[int, np.ndarray] = {}

    def evaluate(steps: Iterable[int], more: int = 0) -> None:
        new = [t for t in steps if t not in evaluated]
        total = len(evaluated) + len(new) + more
        progress(len(evaluated), total)
        for t in new:
            errors = np.asarray(errors_at(t), dtype=np.float64)
            if errors.ndim != 1 or not errors.size:
                raise ValueError(f'the errors at t={t} must have shape (N,), got {errors.shape}')
            evaluated[t] = errors
            if not np.isfinite(evaluated[t]).all():
                raise ValueError(f'the errors at t={t} are not finite')
            progress(len(evaluated), total)

    if grid is not None:
        evaluate(grid)
        return evaluated
    evaluate(coarse_grid(num_steps), more=2 * _NEIGHBOURS)
    best = min(evaluated, key=lambda t: evaluated[t].mean())
    evaluate(range(max(best - _NEIGHBOURS, 1), min(best + _NEIGHBOURS, num_steps) + 1))
    return evaluated
