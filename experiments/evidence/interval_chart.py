"""A chart of differences with their intervals, one below the other, as SVG text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evidence.charts import COLOURS, round_ticks, svg_text

_LABELS, _SPAN, _ROW, _TOP, _BOTTOM = 560, 330, 21, 34, 36
_SHADES = {'good': '#228833', 'bad': '#cc3311', 'open': '#555555'}


@dataclass(frozen=True)
class Interval:
    """A row.

    Args:
        label: on the left.
        mean: the square.
        low: where its line begins.
        high: where it ends.
        kind: "good", "bad" or "open", which has another colour each.
        points: the dots, by name.
    """

    label: str
    mean: float
    low: float
    high: float
    kind: str
    points: Mapping[str, float]


def interval_chart(title: str, x_label: str, rows: Sequence[Interval]) -> str:
    """An SVG document: labels on the left, intervals around 0 on the right, and a legend on top."""
    names = list(dict.fromkeys(name for row in rows for name in row.points))
    least = min(min(row.low, *row.points.values()) for row in rows)
    most = max(max(row.high, *row.points.values()) for row in rows)
    bottom = _TOP + _ROW * len(rows)
    width, height = _LABELS + _SPAN + 20, bottom + _BOTTOM

    def across(value: float) -> float:
        return _LABELS + _SPAN * (value - least) / ((most - least) or 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        svg_text(8, 16, title, 'start', 'bold'),
        svg_text(_LABELS + _SPAN / 2, height - 6, x_label, 'middle'),
    ]
    for i, name in enumerate(names):
        x = _LABELS + 90 * i
        parts.append(f'<circle cx="{x}" cy="12" r="3.5" fill="{COLOURS[i]}"/>')
        parts.append(svg_text(x + 8, 16, name, 'start'))
    for value in round_ticks((least, most)):
        x, colour = across(value), '#888888' if value == 0 else '#dddddd'
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{bottom}" stroke="{colour}"/>'
        )
        parts.append(svg_text(x, bottom + 14, f'{value:.4g}', 'middle'))
    for i, row in enumerate(rows):
        parts += _drawn(row, _TOP + _ROW * i + _ROW / 2, across, names)
    return '\n'.join([*parts, '</svg>', ''])


def _drawn(
    row: Interval, y: float, across: Callable[[float], float], names: Sequence[str]
) -> list[str]:
    shade = _SHADES[row.kind]
    x = across(row.mean)
    dots = [
        f'<circle cx="{across(value):.1f}" cy="{y:.1f}" r="3.5" '
        f'fill="{COLOURS[names.index(name)]}" fill-opacity="0.7"/>'
        for name, value in row.points.items()
    ]
    return [
        svg_text(8, y + 4, row.label, 'start'),
        f'<line x1="{across(row.low):.1f}" x2="{across(row.high):.1f}" y1="{y:.1f}" '
        f'y2="{y:.1f}" stroke="{shade}" stroke-width="2"/>',
        *dots,
        f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{shade}"/>',
    ]
