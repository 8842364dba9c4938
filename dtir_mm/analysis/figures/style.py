"""How figures look: legible without colours, to the colour-blind and when printed small."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dtir_mm.files import replacing, require_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ('.png', '.pdf', '.svg')
# Okabe and Ito's palette, without the yellow, which is too light for lines.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#000000', '#56B4E9', '#E69F00')
# Numbers without a common factor with that of the colours: pairs do not repeat for a long time.
# Markers differ in outline, also without a fill.
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X', '*', '<', '>', '1')
DASHES = ('-', '--', '-.', ':', (0, (6, 1, 1, 1, 1, 1)))
HATCHES = ('', '///', '...', 'xxx', '\\\\\\', '++', '---', 'oo')
_TITLES = {'source': 'source', 'target': 'unseen (target)'}
_TEXT: Any = {
    'font.size': 9,
    'axes.titlesize': 10,
    'legend.fontsize': 8,
    'legend.title_fontsize': 8,
    'xtick.labelsize': 8,
    'ytick.labelsize': 8,
    'hatch.linewidth': 0.6,
    'pdf.fonttype': 42,  # TrueType: journals refuse Type 3, whose text cannot be edited
    'svg.fonttype': 'none',  # text, not outlines of letters
    'svg.hashsalt': 'dtir_mm',  # the same file for the same figure
}


@dataclass(frozen=True)
class Drawn:
    """A figure, and lines to print about what it shows or leaves out."""

    figure: 'Figure'
    notes: list[str] = field(default_factory=list)


@contextmanager
def text_style() -> Iterator[None]:
    """Inside, figures have text of at least 8 points, saved as text.

    Their size in inches is that on paper.
    """
    import matplotlib

    with matplotlib.rc_context(_TEXT):
        yield


def line_style(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of the line of a number."""
    return {
        'color': COLOURS[index % len(COLOURS)],
        'marker': MARKERS[index % len(MARKERS)],
        'linestyle': DASHES[index % len(DASHES)],
    }


def bar_style(index: int) -> dict[str, Any]:
    """Colour and hatch of the bars of a number."""
    return {
        'facecolor': COLOURS[index % len(COLOURS)] + '99',  # hatches show through
        'hatch': HATCHES[index % len(HATCHES)],
        'edgecolor': 'black',
        'linewidth': 0.6,
    }


def panels(
    titles: Sequence[str], width: float, height: float, projection: str | None = None
) -> tuple['Figure', list['Axes']]:
    """A figure with panels in a row of two each; their size is in inches."""
    from matplotlib.figure import Figure

    columns = min(len(titles), 2)
    rows = math.ceil(len(titles) / columns)
    figure = Figure((width * columns, height * rows), layout='constrained')
    axes = [
        figure.add_subplot(rows, columns, place, projection=projection)
        for place in range(1, len(titles) + 1)
    ]
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title)
    return figure, axes


def legend(figure: 'Figure', columns: int, title: str | None = None) -> None:
    """A legend below all panels, of everything that has a label, once each."""
    named: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if named:
        figure.legend(
            list(named.values()), list(named), loc='outside lower center',
            ncols=min(columns, len(named)), handlelength=4, title=title,
        )  # fmt: skip


def domain_title(domain: str) -> str:
    """The domain of tested images, in words."""
    return _TITLES.get(domain, domain)


def require_output(path: Path, overwrite: bool) -> None:
    """Checks the file of a figure before it is made.

    Raises:
        ValueError: its suffix is none of ``FORMATS``, or it exists and ``overwrite`` is False.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f'{path}: the suffix of a figure must be one of {", ".join(FORMATS)}')
    require_new(path, overwrite)


def save(figure: 'Figure', path: Path) -> None:
    """Writes a figure in the format of the file's suffix, atomically."""
    kind = path.suffix.lower().removeprefix('.')
    undated = {'pdf': {'CreationDate': None}, 'svg': {'Date': None}}
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=150, metadata=undated.get(kind))
