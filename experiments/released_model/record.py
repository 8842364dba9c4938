"""Files of measurements: JSON with their origin, one line a case, without dates and paths."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from dtir_mm.analysis.summary import git_commit
from dtir_mm.files import write_text

_DECIMALS = 4


def origin(*packages: ModuleType) -> dict[str, Any]:
    """Commit of the code, and versions of the packages that the figures depend on."""
    return {
        'commit': git_commit(Path(__file__).parent),
        'versions': {package.__name__: package.__version__ for package in packages},
    }


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows of the same keys as one list a key; floats are rounded to four decimals."""
    return {name: [_rounded(row[name]) for row in rows] for name in rows[0]}


def _rounded(value: Any) -> Any:
    return round(value, _DECIMALS) if isinstance(value, float) else value


def sha256(path: Path) -> str:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_record(path: Path, about: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> None:
    """Writes ``{**about, "cases": [...]}`` atomically."""
    head = json.dumps(about, indent=1, allow_nan=False).removesuffix('\n}')
    lines = ',\n'.join(f'  {json.dumps(case, allow_nan=False)}' for case in cases)
    write_text(path, f'{head},\n "cases": [\n{lines}\n ]\n}}\n')
