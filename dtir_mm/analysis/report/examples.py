"""The images of a report, cut out of the comparison images of tests."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from dtir_mm.analysis.comparison_strip import images_of
from dtir_mm.analysis.report.methods import Method
from dtir_mm.image_io import read_image
from dtir_mm.names import shortened

_QUALITY = 90


@dataclass(frozen=True)
class Panel:
    """One version of an image: what it is, its metrics as far as they are known, and a data URI."""

    label: str
    psnr: float | None
    uri: str


@dataclass
class Example:
    """An image in all versions: input, every method, ground truth."""

    task: str
    domain: str
    name: str
    size: tuple[int, int]
    panels: list[Panel] = field(default_factory=list)

    @property
    def before(self) -> Panel:
        """The left side of the slider, the input."""
        return self.panels[0]

    @property
    def after(self) -> Panel:
        """The right side, which is "ours" or else the method with the highest PSNR."""
        restored = self.panels[1:-1]
        ours = next((panel for panel in restored if panel.label == 'ours'), None)
        return ours or max(restored, key=lambda panel: panel.psnr or 0)

    @property
    def weight(self) -> int:
        """Characters of its images in the page."""
        return sum(len(panel.uri) for panel in self.panels)


@dataclass(frozen=True)
class Examples:
    """Images in order of task, domain and name, and notes on others."""

    shown: list[Example]
    notes: list[str]

    @property
    def by_task(self) -> dict[str, list[Example]]:
        """The images of each task."""
        tasks = sorted({example.task for example in self.shown})
        return {task: [e for e in self.shown if e.task == task] for task in tasks}

    @property
    def weight(self) -> int:
        """Characters of all images in the page."""
        return sum(example.weight for example in self.shown)

    def within(self, budget: int) -> 'Examples':
        """Those that fit in ``budget`` characters: of each task and domain the first, in turn."""
        kept = _fitting(self.shown, budget)
        left, of = len(self.shown) - len(kept), len(self.shown)
        note = f'{left} of {of} examples are left out, to keep the page below 15 MB.'
        return Examples(kept, [note, *self.notes] if left else self.notes)


def read_examples(methods: Sequence[Method]) -> Examples:
    """The comparison images of all tests.

    Raises:
        ValueError: a comparison image is damaged; the message names it.
    """
    found: dict[tuple[str, tuple[int, int]], Example] = {}
    lacking: list[str] = []
    tested = [m for m in methods if m.rows is m.evaluation.rows[m.evaluation.method]]
    files = [(method, file) for method in tested for file in _files_of(method)]
    for method, file in tqdm(files, desc='images', unit='image', disable=not files):
        rows = _rows_of(file, method.rows)
        if not file.is_file() or not rows:
            lacking.append(f'{method.evaluation.name}: {file.name}')
            continue
        _add(found, method.label, file, rows)
    shown = sorted(found.values(), key=lambda example: (example.task, example.domain, example.name))
    missing = f'Comparison images that are missing: {", ".join(lacking)}'
    return Examples(shown, [missing] if lacking else [])


def _files_of(method: Method) -> list[Path]:
    """The comparison images of a test, also if its folder was moved."""
    folder = method.evaluation.folder / 'images'
    return [folder / Path(name).name for name in method.evaluation.summary['images']]


def _rows_of(file: Path, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that a file may show: several if images in different folders have one name."""

    def named(stem: str) -> list[dict[str, Any]]:
        return [
            row
            for row in rows
            if shortened(f'{row["task"]}_{row["domain"]}_{Path(row["path"]).stem}') == stem
        ]

    return named(file.stem) or named(file.stem.rpartition('_')[0])


def _add(
    found: dict[tuple[str, tuple[int, int]], Example],
    label: str,
    file: Path,
    rows: Sequence[dict[str, Any]],
) -> None:
    """Adds a restored image to its example, or makes a new one."""
    try:
        degraded, restored, clean = images_of(read_image(file))
    except ValueError as error:
        raise ValueError(f'{file} is not a comparison image of dtir-mm test: {error}') from error
    row = rows[0]
    psnr, before = (row['psnr'], row['input_psnr']) if len(rows) == 1 else (None, None)
    size = clean.shape[1], clean.shape[0]
    key = file.name, size
    if key not in found:
        found[key] = Example(row['task'], row['domain'], Path(row['path']).name, size)
        found[key].panels = [
            Panel('input', before, _data_uri(degraded)),
            Panel('ground truth', None, _data_uri(clean)),
        ]
    found[key].panels.insert(-1, Panel(label, psnr, _data_uri(restored)))


def _fitting(examples: Sequence[Example], budget: int) -> list[Example]:
    """The examples that fit, in their order."""
    number: dict[tuple[str, str], int] = {}
    ranked: list[tuple[int, int]] = []
    for example in examples:
        group = example.task, example.domain
        ranked.append((number.setdefault(group, 0), len(ranked)))
        number[group] += 1
    kept = []
    for _, index in sorted(ranked):
        budget -= examples[index].weight
        if budget < 0:
            break
        kept.append(index)
    return [examples[index] for index in sorted(kept)]


def _data_uri(image: np.ndarray) -> str:
    """An RGB image as WebP, which is a quarter of PNG on noisy photographs."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, 'WEBP', quality=_QUALITY)
    return f'data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}'
