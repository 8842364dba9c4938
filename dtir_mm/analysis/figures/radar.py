"""Radar charts of many tasks, as in Figure 1 of the paper."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dtir_mm.analysis.figures.scores import psnr_of_methods
from dtir_mm.analysis.figures.style import Drawn, domain_title, legend, line_style, panels
from dtir_mm.analysis.run_files import RunFiles

_LEAST_TASKS = 3
_INNER = 0.25  # radius of an axis' lowest value; polygons through the centre hide their shape
_SCALES = 'Each axis runs from its lowest value (inner ring) to its highest (outer ring).'


@dataclass(frozen=True)
class Radar:
    """PSNR in dB of one domain.

    Args:
        domain: "source" or "target".
        tasks: an axis each.
        polygons: by method, the values of all tasks.
    """

    domain: str
    tasks: list[str]
    polygons: dict[str, list[float]]

    @property
    def scales(self) -> list[tuple[float, float]]:
        """The lowest and highest value of each axis."""
        columns = zip(*self.polygons.values(), strict=True)
        return [(min(values), max(values)) for values in columns]

    def radii(self, method: str) -> list[float]:
        """Of the corners of a polygon; 1 is the highest value of an axis."""
        return [
            _INNER + (1 - _INNER) * ((value - low) / (high - low) if high > low else 1.0)
            for value, (low, high) in zip(self.polygons[method], self.scales, strict=True)
        ]


def radars(
    psnr: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> tuple[list[Radar], list[str]]:
    """A chart per domain, and a note on each method that lacks one of its tasks.

    Args:
        psnr: by domain, method and task.

    Raises:
        ValueError: no domain has at least three tasks.
    """
    charts, notes = [], []
    for domain, methods in psnr.items():
        tasks = list(dict.fromkeys(task for values in methods.values() for task in values))
        if len(tasks) < _LEAST_TASKS:
            continue
        lacking = {name: [t for t in tasks if t not in found] for name, found in methods.items()}
        polygons = {
            name: [found[task] for task in tasks]
            for name, found in methods.items()
            if not lacking[name]
        }
        notes += [
            f'{name} is left out of {domain}: it was not tested on {", ".join(missing)}'
            for name, missing in lacking.items()
            if missing
        ]
        charts.append(Radar(domain, tasks, polygons))
    if not charts:
        counts = ', '.join(
            f'{domain} has {", ".join(sorted(set().union(*methods.values())))}'
            for domain, methods in psnr.items()
        )
        raise ValueError(f'a radar chart needs at least {_LEAST_TASKS} tested tasks: {counts}')
    return charts, notes


def radar_figure(runs: RunFiles) -> Drawn:
    """One polygon per method; each axis has its own scale, which its label states."""
    from matplotlib.projections.polar import PolarAxes

    charts, notes = radars(psnr_of_methods(runs.evaluations))
    methods = list(dict.fromkeys(name for chart in charts for name in chart.polygons))
    titles = [f'PSNR in dB, {domain_title(chart.domain)}' for chart in charts]
    figure, axes = panels(titles, 4.6, 4.3, projection='polar')
    for axis, chart in zip(axes, charts, strict=True):
        assert isinstance(axis, PolarAxes)
        angles = [2 * math.pi * i / len(chart.tasks) for i in range(len(chart.tasks))]
        for name in chart.polygons:
            radii = chart.radii(name)
            axis.plot(
                [*angles, angles[0]], [*radii, radii[0]], label=name,
                **line_style(methods.index(name)), markersize=4, linewidth=1.3,
            )  # fmt: skip
        labels = [
            f'{task}\n{low:.1f} to {high:.1f}'
            for task, (low, high) in zip(chart.tasks, chart.scales, strict=True)
        ]
        axis.set_theta_offset(math.pi / 2)  # the first axis points up
        axis.set_theta_direction(-1)
        axis.set_xticks(angles, labels)
        axis.set_yticks(_rings(), [])
        axis.set_ylim(0, 1)
        axis.tick_params(axis='x', pad=4)
        for angle, label in zip(angles, axis.get_xticklabels(), strict=True):
            side = round(math.sin(angle), 6)  # right of the centre, left, or neither
            label.set_horizontalalignment('left' if side > 0 else 'right' if side else 'center')
    legend(figure, 3, _SCALES)
    return Drawn(figure, notes)


def _rings() -> Sequence[float]:
    """Radii of the lowest value, the middle and the highest value."""
    return _INNER, (1 + _INNER) / 2, 1.0
