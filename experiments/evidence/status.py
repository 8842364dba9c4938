"""What has been run: the matrix as text."""

from collections import defaultdict
from pathlib import Path

from evidence.configs import is_done
from evidence.evaluation import lacking
from evidence.hypotheses import HYPOTHESES
from evidence.matrix import all_cells
from evidence.results import file_of

_DONE, _MISSING, _OLD = '#', '.', 'o'


def status(folder: Path) -> str:
    """One line for each study: its runs by task, and what the hypotheses lack."""
    marks: dict[str, dict[str, str]] = defaultdict(dict)
    done = {key for key, cell in all_cells().items() if is_done(cell, folder)}
    for key, cell in all_cells().items():
        mark = _DONE if key in done else _MISSING
        if mark == _MISSING and file_of(cell, folder).is_file():
            mark = _OLD
        row = marks[key.rsplit(f'_{cell.task}_', 1)[0]]
        row[cell.task] = row.get(cell.task, '') + mark
    width = max(map(len, marks))
    lines = [
        f'a character a seed: {_DONE} done, {_MISSING} missing, {_OLD} of an earlier config',
        '',
    ]
    for name, row in marks.items():
        lines.append(f'{name.ljust(width)}  {"  ".join(f"{t} {m}" for t, m in row.items())}')
    count = f'{len(done)} of {len(all_cells())} runs are done.'
    lines += ['', f'{count} Runs that each hypothesis lacks:']
    lines.append(', '.join(f'{h.key} {len(lacking(done, h))}' for h in HYPOTHESES))
    return '\n'.join(lines)
