"""Loss curves of runs, and whether they are past their plateau."""

import json
from dataclasses import dataclass
from pathlib import Path

_POINTS = 40  # of a curve
_DIGITS = 6
_ON_PLATEAU = 0.98
_WELL_BELOW = 0.95
_FIRST = 100  # the first values are means over fewer updates
_WINDOW = 300  # updates


@dataclass(frozen=True)
class Plateau:
    """Where a loss curve ends.

    Args:
        left: whether the loss fell clearly below that of the degraded input; None in pre-training,
            which has no such plateau.
        share: the last loss, relative to that of the input; None in pre-training.
        falling: by how much the loss fell over the last fifth of the updates, relative to the fifth
            before it.
    """

    left: bool | None
    share: float | None
    falling: float


def curve_of(work_dir: Path, loss: str) -> list[list[float]]:
    """The logged curve of a run, resumed or not: rows of iteration, loss and loss of the input.

    The last is missing in pre-training. Values are means over 100 updates, over the last 50 for
    the first row and for the first after a resumption.
    """
    rows: dict[int, list[float]] = {}
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            if loss in row and 'iter' in row:
                values = [row[name] for name in (loss, 'content_of_input') if name in row]
                rows[row['iter']] = [row['iter'], *(round(value, _DIGITS) for value in values)]
    return [rows[iteration] for iteration in sorted(rows)]


def last_scalars(work_dir: Path) -> dict[str, float]:
    """The last values that a run logged, such as the drift from the pre-trained weights."""
    last: dict[str, float] = {}
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            last |= {key: round(value, _DIGITS) for key, value in json.loads(line).items()}
    return {key: last[key] for key in sorted(last.keys() - {'step', 'data_time', 'time', 'lr'})}


def plateau_of(curve: list[list[float]]) -> Plateau:
    """Where a curve ends; see ``Plateau``."""
    end = curve[-1][0]

    def mean(low: float, high: float, column: int = 1) -> float:
        values = [row[column] for row in curve if low < row[0] <= high and len(row) > column]
        return sum(values) / len(values) if values else float('nan')

    falling = 1 - mean(0.8 * end, end) / mean(0.6 * end, 0.8 * end)
    if len(curve[-1]) < 3:
        return Plateau(None, None, round(falling, 4))
    share = mean(end - _WINDOW, end) / mean(end - _WINDOW, end, 2)
    return Plateau(share < _ON_PLATEAU, round(share, 4), round(falling, 4))


def left_plateau_at(curve: list[list[float]]) -> int | None:
    """The update from which on the loss stays 5 % below that of the input; None if it never does.

    Args:
        curve: see ``curve_of``, with the loss of the input.
    """
    above = [i for i, row in enumerate(curve) if row[1] >= _WELL_BELOW * row[2]]
    after = curve[above[-1] + 1 :] if above else curve
    return next((int(row[0]) for row in after if row[0] >= _FIRST), None)


def thinned(curve: list[list[float]]) -> list[list[float]]:
    """Evenly spaced points of a curve, with the last."""
    step = -(-len(curve) // _POINTS)
    return curve[::-1][::step][::-1]
