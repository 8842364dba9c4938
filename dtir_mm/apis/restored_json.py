"""``restored.json``: what was found in the images of a folder, and how each was restored."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dtir_mm.files import write_text
from dtir_mm.json_files import read_json
from dtir_mm.names import shown

NAME = 'restored.json'
_SECONDS = 10  # between two writes of a long run


class Record:
    """The record of a folder of results; entries of earlier calls are kept.

    Args:
        folder: the folder.

    Raises:
        ValueError: its ``restored.json`` is not such a record.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self._added: dict[str, Any] = {}
        self._written = time.monotonic()
        self._earlier()

    def add(self, result: Path, entry: Mapping[str, Any]) -> None:
        """Adds the entry of a result; it replaces that of an earlier result of this name."""
        self._added[shown(result.relative_to(self.folder))] = dict(entry)
        if time.monotonic() - self._written > _SECONDS:
            self.write()

    def write(self) -> None:
        """Writes the file, atomically, if there are new entries."""
        if not self._added:
            return
        images = self._earlier() | self._added  # read again: another call may have added some
        content = {'images': dict(sorted(images.items()))}
        write_text(self.path, json.dumps(content, indent=2, ensure_ascii=False) + '\n')
        self._written = time.monotonic()

    def _earlier(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        content = None if self.path.is_dir() else read_json(self.path)
        images = content.get('images') if isinstance(content, dict) else None
        if not isinstance(images, dict):
            raise ValueError(
                f'{shown(self.path)} is not a record of restored images, and is not overwritten: '
                f'move it, or name another output folder'
            )
        return images
