"""One JSON file for each finished cell: what was run, and what came out of it."""

import json
from pathlib import Path
from typing import Any

from dtir_mm.analysis.summary import git_commit
from dtir_mm.files import write_text
from dtir_mm.json_files import read_json
from evidence.matrix import Cell

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = 'experiments/evidence/results'
RESULTS = ROOT / OUTPUT
WORK = ROOT / 'work_dirs' / 'evidence'
_FIGURES = ('psnr', 'ssim')


def images_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of each photograph: ``{task: {domain: {name: [values]}}}``, sorted by path."""
    found: dict[str, Any] = {}
    for row in rows:
        domain = found.setdefault(row['task'], {}).setdefault(row['domain'], {})
        domain.setdefault('photographs', []).append(Path(row['path']).stem)
        for figure in _FIGURES:
            for name in (figure, f'input_{figure}'):
                domain.setdefault(name, []).append(round(row[name], 4))
    return found


def file_of(cell: Cell, folder: Path = RESULTS) -> Path:
    """The file of a cell's result."""
    return folder / f'{cell.key}.json'


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Writes a result, one line for each top-level key."""
    lines = [f'{json.dumps(key)}: {json.dumps(value)}' for key, value in result.items()]
    write_text(path, '{\n' + ',\n'.join(lines) + '\n}\n')


def read_result(cell: Cell, folder: Path = RESULTS) -> dict[str, Any] | None:
    """A cell's result, or None if it has none.

    Raises:
        ValueError: the file is not a result of this cell.
    """
    path = file_of(cell, folder)
    if not path.is_file():
        return None
    result = read_json(path)
    if not isinstance(result, dict) or result.get('cell') != cell.key:
        raise ValueError(f'{path} is not a result of {cell.key}: delete it and run the cell again')
    return result


def require_commit() -> str:
    """The commit that results name.

    Raises:
        ValueError: files of the repository, apart from results, are modified.
    """
    commit = git_commit(ROOT, OUTPUT)
    if commit is None or commit.endswith('-dirty'):
        raise ValueError(
            'files of the repository are modified: commit them, so that results name what was run, '
            'or try cells with --trial'
        )
    return commit
