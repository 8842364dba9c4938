"""Writes benchmark results as JSON, with the machine and commit."""

import json
import platform
from pathlib import Path
from typing import Any

import torch

from dtir_mm.analysis.summary import git_commit
from dtir_mm.files import write_text


def write_results(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows of ``{case, metric, ratio, baseline, target, better}``."""
    result = {
        'machine': f'{platform.machine()}, {torch.get_num_threads()} threads, fp32',
        'torch': torch.__version__,
        'commit': git_commit(),
        'rows': rows,
    }
    write_text(path, json.dumps(result, indent=1) + '\n')
