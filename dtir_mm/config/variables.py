"""Distinguishes top-level variables that a config's files use from keys that nothing uses.

In Python configs every variable becomes a key: ``pipeline``, which a data set uses, looks the same
as ``load_form``, a typo of ``load_from``.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmengine.config import Config


def unused_variables(config: Config, names: Iterable[str]) -> dict[str, bool]:
    """The names that no file of a config uses after assigning them.

    Returns:
        for each name, whether it is certainly an error: a file with bases assigns it itself.
        Variables of a base may be meant for other configs, and a file without bases may be from
        ``Config.dump``, which keeps variables.
    """
    names = list(names)
    files = list(_files(Path(config.filename))) if names and config.filename else []
    unused = {}
    for name in names:
        assigning = [i for i, file in enumerate(files) if name in file.assigned]
        # Bases come after the files that build on them.
        left = [
            i
            for i in assigning
            if name not in files[i].read
            and not any(name in file.read_from_base for file in files[:i])
        ]
        if not assigning or left:
            unused[name] = bool(files) and files[0].inherits and (not assigning or 0 in left)
    return unused


class _File:
    """The names that a config file assigns, reads, and reads from its bases."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding='utf-8')
        self.bases: list[Path] = []
        self.assigned: set[str] = set()
        self.read: set[str] = set()
        self.read_from_base = set(re.findall(r'\{\{\s*_base_\.(\w+)', text))
        self.inherits = '_base_' in text or 'read_base' in text
        if path.suffix != '.py':
            return
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                loads = isinstance(node.ctx, ast.Load)
                (self.read if loads else self.assigned).add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == '_base_':
                    self.read_from_base.add(node.attr)
            elif isinstance(node, ast.Assign) and _is_base(node):
                self.bases = [path.parent / base for base in _strings(node.value)]


def _files(path: Path) -> Iterator[_File]:
    """A config file and all files that it builds on."""
    file = _File(path)
    yield file
    for base in file.bases:
        if base.is_file():  # otherwise of another package, "mmdet::..."
            yield from _files(base)


def _is_base(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == '_base_' for target in node.targets)


def _strings(value: ast.expr) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
