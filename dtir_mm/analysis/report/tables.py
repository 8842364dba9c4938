"""The tables of a report: summary, metrics of all images, forgetting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtir_mm.analysis.report.methods import Method
from dtir_mm.analysis.run_files import Forgetting
from dtir_mm.analysis.summary import average_rows
from dtir_mm.evaluation.restoration_metric import FIGURES
from dtir_mm.randomness import generator

DECIMALS = {'psnr': 2, 'ssim': 4, 'lpips': 4}
TITLES = {'psnr': 'PSNR, dB', 'ssim': 'SSIM', 'lpips': 'LPIPS'}
_BETTER = {'psnr': max, 'ssim': max, 'lpips': min}
_REPLICATES = 1000
_LEAST = 5  # images, of which an interval still says something
_LOST_MOST = 3.0  # dB of forgetting that have the strongest colour


@dataclass(frozen=True)
class Cell:
    """A mean, its 95 % interval over the images, and whether none is better, as printed."""

    value: float
    interval: tuple[float, float] | None
    best: bool


@dataclass(frozen=True)
class SummaryTable:
    """A metric of all methods: per task and domain the number of images, and cells."""

    metric: str
    methods: list[str]
    lines: list[tuple[str, str, int, list[Cell | None]]]


def summary_tables(rows: Sequence[dict[str, Any]], methods: Sequence[Method]) -> list[SummaryTable]:
    """A table per measured metric; ``rows`` are those of ``summary_rows``."""
    rows = [*rows, *average_rows(rows)]
    labels = list(dict.fromkeys(row['method'] for row in rows))
    intervals = _intervals(methods)
    tables = []
    for metric in FIGURES:
        means = {(r['task'], r['domain'], r['method']): r for r in rows if r[metric] is not None}
        lines = []
        for task, domain in sorted({key[:2] for key in means}, key=_average_last):
            found = [means.get((task, domain, label)) for label in labels]
            printed = [None if r is None else round(r[metric], DECIMALS[metric]) for r in found]
            best = _BETTER[metric](value for value in printed if value is not None)
            cells = [
                None if r is None else Cell(
                    r[metric],
                    intervals.get((task, domain, r['method'], metric)),
                    value == best,
                )
                for r, value in zip(found, printed, strict=True)
            ]  # fmt: skip
            lines.append((task, domain, max(r['n'] for r in found if r), cells))
        if lines:
            tables.append(SummaryTable(metric, labels, lines))
    return tables


def _average_last(group: tuple[str, str]) -> tuple[bool, str, str]:
    return group[0] == 'average', *group


def _intervals(methods: Sequence[Method]) -> dict[tuple[str, ...], tuple[float, float]]:
    """Of the means by task, domain, method and metric."""
    values: dict[tuple[str, ...], list[float]] = {}
    for method in methods:
        own: dict[tuple[str, ...], list[float]] = {}
        for row in method.rows:
            for metric in FIGURES:
                for label, name in ((method.label, metric), ('input', f'input_{metric}')):
                    if row[name] is not None:
                        key = row['task'], row['domain'], label, metric
                        own.setdefault(key, []).append(row[name])
        values = own | values  # all methods have the same inputs, which count once
    return {key: bootstrap_interval(group) for key, group in values.items() if len(group) >= _LEAST}


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of independent values."""
    drawn = generator(0, 'bootstrap').integers(len(values), size=(_REPLICATES, len(values)))
    low, high = np.quantile(np.asarray(values)[drawn].mean(1), [0.025, 0.975])
    return float(low), float(high)


def image_rows(methods: Sequence[Method]) -> list[dict[str, Any]]:
    """The metrics of every restored image, the smallest gain in PSNR first."""
    rows = [
        row | {'method': method.label, 'gain': row['psnr'] - row['input_psnr']}
        for method in methods
        for row in method.rows
    ]
    return sorted(rows, key=lambda row: row['gain'])


@dataclass(frozen=True)
class HeatCell:
    """PSNR of a task after a stage.

    Args:
        psnr: in dB.
        joined: whether the task has joined; the colour of others says nothing.
        lost: dB below the task's best stage since joining.
    """

    psnr: float
    joined: bool
    lost: float

    @property
    def shade(self) -> float:
        """Of the colour, 0 to 1."""
        return min(self.lost / _LOST_MOST, 1.0)


def heat_map(table: Forgetting) -> list[list[HeatCell]]:
    """A row per stage, a column per task."""
    best: dict[str, float] = {}
    lines = []
    for joined, psnr in table.stages:
        line = []
        for task in table.order:
            if task in joined:
                best[task] = max(psnr[task], best.get(task, psnr[task]))
            line.append(
                HeatCell(psnr[task], task in joined, best.get(task, psnr[task]) - psnr[task])
            )
        lines.append(line)
    return lines
