"""Line charts as SVG text, the same on every machine."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 150, 28, 40
COLOURS = ('#4477aa', '#ee6677', '#228833', '#ccbb44', '#66ccee', '#aa3377', '#777777', '#000000')
_STEPS = 4


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Args:
        label: in the legend.
        points: x and y.
        dashed: whether it is dashed.
        dots: x and y of single runs, in its colour.
    """

    label: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    dots: Sequence[tuple[float, float]] = ()


def line_chart(
    title: str, x_label: str, y_label: str, lines: Sequence[Line], names: Sequence[str] = ()
) -> str:
    """An SVG document with the lines on linear axes, and a legend on the right.

    Args:
        title: at the top.
        x_label: below the x axis.
        y_label: beside the y axis.
        lines: what is drawn.
        names: of x = 0, 1, 2, ..., instead of numbers.
    """
    xs = list(range(len(names))) or [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in (*line.points, *line.dots)]
    x_range, y_range = (min(xs), max(xs)), _padded(min(ys), max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_range[0]) / ((x_range[1] - x_range[0]) or 1)
        up = (y - y_range[0]) / (y_range[1] - y_range[0])
        inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return _LEFT + across * inner_width, _HEIGHT - _BOTTOM - up * inner_height

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        svg_text(_LEFT, 16, title, 'start', 'bold'),
        svg_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, x_label, 'middle'),
        f'<g transform="translate(12 {_HEIGHT / 2}) rotate(-90)">'
        f'{svg_text(0, 0, y_label, "middle")}</g>',
    ]
    for value in round_ticks(y_range):
        _, y = place(x_range[0], value)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="#dddddd"/>'
        )
        parts.append(svg_text(_LEFT - 4, y + 4, f'{value:.4g}', 'end'))
    named = {value: f'{value:.4g}' for value in round_ticks(x_range)}
    for value, name in (dict(enumerate(names)) or named).items():
        x, y = place(value, y_range[0])
        parts.append(svg_text(x, y + 14, name, 'middle'))
    for i, line in enumerate(lines):
        parts += _drawn(line, COLOURS[i % len(COLOURS)], place, _TOP + 15 * i)
    return '\n'.join([*parts, '</svg>', ''])


def _drawn(
    line: Line, colour: str, place: Callable[[float, float], tuple[float, float]], y: int
) -> list[str]:
    points = ' '.join(f'{x:.1f},{y:.1f}' for x, y in (place(*point) for point in line.points))
    style = f'fill="none" stroke="{colour}" stroke-width="1.6"'
    style += ' stroke-dasharray="5 3"' if line.dashed else ''
    left = _WIDTH - _RIGHT + 10
    dots = (place(*dot) for dot in line.dots)
    return [
        f'<polyline points="{points}" {style}/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{colour}"/>' for x, y in dots),
        f'<polyline points="{left},{y} {left + 18},{y}" {style}/>',
        svg_text(left + 23, y + 4, line.label, 'start'),
    ]


def svg_text(x: float, y: float, text: str, anchor: str, weight: str = 'normal') -> str:
    """A text element; ``anchor`` is "start", "middle" or "end"."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
        f'{escape(text)}</text>'
    )


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def round_ticks(limits: tuple[float, float]) -> list[float]:
    """Round numbers within limits, about four steps apart."""
    low, high = limits
    least = (high - low) / _STEPS or 1.0
    unit = 10.0 ** math.floor(math.log10(least))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= least)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [step * i for i in range(first, last + 1)]
