"""The geometry of line charts, which templates/chart.html draws."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from dtir_mm.analysis.run_files import Series, Training
from dtir_mm.matching.timestep_match import TimestepMatch

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 50, WIDTH - 16, 4, HEIGHT - 36  # of the plot area
_INSET = 6  # of lines, from the lower and upper edges
_TICKS = 5
_STEPS = (1, 2, 2.5, 5, 10)
_MOST_MARKED = 60  # points of a line that get marks, which show their numbers
_LOG_RATIO = 30.0
# What is drawn, as far as runs logged it.
_TITLES = {
    'content': 'Restoration loss',
    'noise': 'Generative loss',
    'denoising': 'Generative loss',
    'val_noise_loss': 'Validation generative loss',
    'val_denoising_loss': 'Validation generative loss',
    'classifier_loss': 'Classification loss',
    'psnr': 'Validation PSNR, dB',
    'grad_norm': 'Gradient norm',
}


@dataclass(frozen=True)
class Point:
    """A position in the drawing, and the numbers there."""

    x: float
    y: float
    at: float
    value: float


@dataclass(frozen=True)
class Line:
    """A named line; ``style`` numbers its colour and dashes."""

    name: str
    style: int
    points: list[Point]

    @property
    def path(self) -> str:
        """In the notation of SVG."""
        return 'M' + 'L'.join(f'{p.x:.1f} {p.y:.1f}' for p in self.points)

    @property
    def marked(self) -> bool:
        """Whether there are few enough points to mark each."""
        return len(self.points) <= _MOST_MARKED


@dataclass(frozen=True)
class Chart:
    """Everything that a drawing shows; ``band`` and ``mark`` are positions on the x axis."""

    title: str
    x_label: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    logarithmic: bool
    band: tuple[float, float] | None = None
    mark: float | None = None
    size: ClassVar = (WIDTH, HEIGHT)
    edges: ClassVar = {'left': LEFT, 'right': RIGHT, 'top': TOP, 'bottom': BOTTOM}


@dataclass(frozen=True)
class Axis:
    """Maps values to positions between two ends.

    Args:
        low: the least value.
        high: the greatest.
        ends: their positions.
        logarithmic: whether positions follow the logarithm.
        integer: whether values between integers make no sense.
    """

    low: float
    high: float
    ends: tuple[float, float]
    logarithmic: bool = False
    integer: bool = False

    def position(self, value: float) -> float:
        """Of a value."""
        low, high, value = (
            map(math.log10, (self.low, self.high, value))
            if self.logarithmic
            else (self.low, self.high, value)
        )
        share = (value - low) / (high - low) if high > low else 0.5
        return self.ends[0] + share * (self.ends[1] - self.ends[0])

    def ticks(self) -> list[tuple[float, str]]:
        """Positions and labels of round values."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        if self.low == self.high:
            return [(self.position(self.low), f'{self.low:.4g}')]
        locator = (
            LogLocator(subs=(1, 3))
            if self.logarithmic
            else MaxNLocator(_TICKS, steps=_STEPS, integer=self.integer)
        )
        values = [
            float(f'{value:.12g}')
            for value in locator.tick_values(self.low, self.high)
            if self.low <= value <= self.high
        ]
        return [(self.position(value), f'{value:g}') for value in values]


def line_chart(
    title: str,
    x_label: str,
    series: Mapping[str, Series],
    styles: Mapping[str, int],
    x_min: float,
    band: tuple[float, float] | None = None,
    mark: float | None = None,
) -> Chart:
    """A chart of named series; the y axis is logarithmic if positive values span a wide range."""
    xs = [x for points in series.values() for x, _ in points] + [*(band or ())]
    ys = [y for points in series.values() for _, y in points]
    logarithmic = min(ys) > 0 and max(ys) / min(ys) > _LOG_RATIO
    x_axis = Axis(min(x_min, *xs), max(xs), (LEFT, RIGHT), integer=True)
    y_axis = Axis(min(ys), max(ys), (BOTTOM - _INSET, TOP + _INSET), logarithmic)
    lines = [
        Line(
            name,
            styles[name],
            [Point(x_axis.position(x), y_axis.position(y), x, y) for x, y in points],
        )
        for name, points in series.items()
    ]
    return Chart(
        title,
        x_label,
        lines,
        x_axis.ticks(),
        y_axis.ticks(),
        logarithmic,
        band and (x_axis.position(band[0]), x_axis.position(band[1])),
        None if mark is None else x_axis.position(mark),
    )


@dataclass(frozen=True)
class ChartGroup:
    """The curves of all runs that were validated on the same tasks; ``title`` names these.

    ``notes`` name runs that have not ended, and those that recorded nothing.
    """

    title: str
    styles: dict[str, int]
    notes: list[str]
    charts: list[Chart] = field(default_factory=list)


def training_charts(trainings: Sequence[Training]) -> list[ChartGroup]:
    """Charts of the main quantities; runs on the same tasks share them."""
    groups: dict[str, list[Training]] = {}
    for training in trainings:
        groups.setdefault(_title(training), []).append(training)
    found = []
    for title_of_group, runs in groups.items():
        styles = {run.name: i for i, run in enumerate(runs)}
        notes = [note for run in runs if (note := _unfinished(run))]
        group = ChartGroup(title_of_group, styles, notes)
        for name, title in _TITLES.items():
            if series := {run.name: run.series[name] for run in runs if name in run.series}:
                group.charts.append(line_chart(title, 'updates', series, group.styles, x_min=0))
        found.append(group)
    return found


def _unfinished(training: Training) -> str | None:
    """What keeps a run's curves from being whole."""
    if not training.series:
        return f'{training.name} recorded no values.'
    done, of = training.updates, training.log.planned_updates
    if of is None or done >= of:
        return None
    kept = '' if training.saved else ' It has no checkpoint.'
    return f'{training.name} has done {done} of {of} updates.{kept}'


def _title(training: Training) -> str:
    """The tasks of a run, as far as validations show them."""
    if training.tasks:
        return ', '.join(training.tasks)
    generative = 'noise' in training.series or 'denoising' in training.series
    return 'Pre-training' if generative and 'content' not in training.series else 'Not validated'


def matching_chart(task: str, match: TimestepMatch) -> Chart:
    """Error over time step, the matched step, and its 90 % interval."""
    series = {'relative error': [(t, error) for t, error in match.curve]}
    return line_chart(
        task, 'time step t', series, {'relative error': 0}, 1, match.interval, match.t_mat
    )
