"""Restores image files one after the other."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dtir_mm.apis.freed_memory import freed_memory_kept
from dtir_mm.apis.restore_file import Settings, restore_file
from dtir_mm.apis.restore_plan import Job, identity
from dtir_mm.apis.restored_json import Record
from dtir_mm.apis.restoring import in_words
from dtir_mm.apis.standard_output import say
from dtir_mm.files import ExistsByNowError, names_full_disk
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.names import shown


@dataclass
class Run:
    """Restores image after image, and collects what is to be reported.

    Args:
        restorer: the restorer.
        settings: how images are restored.
        about: entries of the record that all images share.
        overwrite: whether results that exist are replaced.
        skip: whether an image is skipped if its result appears during the run.
        records: of the folders of results.
    """

    restorer: Restorer
    settings: Settings
    about: dict[str, Any]
    overwrite: bool
    skip: bool
    records: Mapping[Path, Record]
    notes: list[tuple[Path, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)
    done: int = 0
    skipped: int = 0
    _written: set[tuple[int, int] | None] = field(default_factory=set)

    def restore(self, jobs: list[Job]) -> None:
        """Restores images until the disk is full; those that fail do not stop the others."""
        try:
            with freed_memory_kept(), tqdm(jobs, unit='image') as bar:
                for job in bar:
                    try:
                        line = self._restore(job, bar)
                    except (OSError, ValueError) as error:
                        if self._is_of_another_call(error, job):
                            self.skipped += 1
                            continue
                        self.failed.append(str(error))
                        if names_full_disk(error):  # the others would fail as well
                            break
                    else:
                        say(line)
        finally:  # also when interrupted
            for record in self.records.values():
                try:
                    record.write()
                except (OSError, ValueError) as error:
                    self.unrecorded.append(str(error))

    def _restore(self, job: Job, bar: tqdm) -> str:
        """Restores an image, records it, and returns a line about it."""
        self._require_free(job.targets)
        show = partial(_show_rows, bar)
        restored = restore_file(self.restorer, job, self.settings, show, self.overwrite)
        self.done += 1
        self.notes += [(job.source, note) for note in restored.notes]
        self._written |= {identity(target) for target in job.targets}
        if job.folder is not None:
            entry = {'source': shown(job.source), **restored.entry, **self.about}
            self.records[job.folder].add(job.result, entry)
        return f'{shown(job.source)} -> {shown(job.result)}: {in_words(restored.found)}'

    def _require_free(self, targets: list[Path]) -> None:
        """Raises ValueError if a file exists that is not to be replaced, before the work."""
        for target in filter(os.path.lexists, targets):
            if identity(target) in self._written:
                raise ValueError(
                    f'{shown(target)} is the result of another image of this call (by a link, or '
                    f'since their names differ only in case), and is not replaced'
                )
            if not self.overwrite:
                raise ExistsByNowError(target)

    def _is_of_another_call(self, error: Exception, job: Job) -> bool:
        """Whether an error is that a call at the same time wrote the result, which is wanted."""
        wanted = self.skip and isinstance(error, ExistsByNowError)
        return wanted and os.path.lexists(job.result)  # not only a comparison


def _show_rows(bar: tqdm, done: int, of: int) -> None:
    """Shows the progress within an image that is restored in several bands."""
    bar.set_postfix_str(f'row {done} of {of}' if done < of else '')
