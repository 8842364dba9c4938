"""Fills the matrix: runs missing cells, the most valuable first, each in a process of its own."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from dtir_mm.engine.work_dir_lock import lock_work_dir
from evidence.configs import folder_of, is_done
from evidence.matrix import Cell, all_cells
from evidence.results import file_of
from evidence.training import run_cell

_POLL = 0.5  # seconds


def missing_cells(results: Path) -> list[str]:
    """The keys of the cells without a result, the most valuable first."""
    return [key for key, cell in all_cells().items() if not is_done(cell, results)]


@dataclass
class Runner:
    """Runs cells until all are done or the time is up.

    It may be killed at any time: results are written when a cell is finished, and a cell that was
    stopped continues from its last checkpoint.

    Args:
        photos: folder of ``tools/prepare_photos.py``.
        work: folder of logs and checkpoints; it is locked.
        results: folder of the JSON files.
        jobs: cells at a time, with one thread each.
        say: called with lines of progress.
    """

    photos: Path
    work: Path
    results: Path
    jobs: int
    say: Callable[[str], None]
    _running: dict[str, tuple[BaseProcess, float]] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)

    def run(self, minutes: float, only: Collection[str] | None = None) -> list[str]:
        """Runs for at most some minutes; returns the keys of cells that failed.

        Args:
            minutes: after which running cells are stopped.
            only: keys of the cells to run, besides those they need; None for all.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        lock_work_dir(self.work)
        os.environ['OMP_NUM_THREADS'] = '1'
        # One server imports torch for all cells; it does not know the path of this process.
        os.environ['PYTHONPATH'] = os.pathsep.join(sys.path)
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload(['evidence.training'])
        deadline = time.monotonic() + 60 * minutes
        todo = self._todo(only)
        try:
            while (todo or self._running) and time.monotonic() < deadline:
                self._collect(len(todo))
                todo = [cell for cell in todo if not self._failed.intersection(cell.needs)]
                free = len(self._running) < self.jobs
                ready = next((cell for cell in todo if free and self._is_ready(cell)), None)
                if ready is None:
                    time.sleep(_POLL)
                else:
                    todo.remove(ready)
                    self._start(context, ready)
        finally:
            self._collect(len(todo))
            self._stop()
        return sorted(self._failed)

    def _todo(self, only: Collection[str] | None) -> list[Cell]:
        """Cells without result, each after those whose weights it needs and which are not there."""
        known = all_cells()
        todo: dict[str, Cell] = {}
        for key in missing_cells(self.results):
            if only is None or key in only:
                for need in self._absent(known[key]):
                    todo.setdefault(need, known[need])
                todo.setdefault(key, known[key])
        return list(todo.values())

    def _absent(self, cell: Cell) -> list[str]:
        """The keys of the cells that it needs, directly or not, and whose weights are not there."""
        known = all_cells()
        absent = [need for need in cell.needs if not self._has_weights(known[need])]
        return [key for need in absent for key in (*self._absent(known[need]), need)]

    def _has_weights(self, cell: Cell) -> bool:
        updates = getattr(cell.study, 'updates', 0)
        return (folder_of(cell, self.work) / f'iter_{updates}.pth').is_file()

    def _is_ready(self, cell: Cell) -> bool:
        known = all_cells()
        return all(need not in self._running and self._has_weights(known[need])
                   for need in cell.needs)  # fmt: skip

    def _start(self, context: multiprocessing.context.ForkServerContext, cell: Cell) -> None:
        output = file_of(cell, self.results)
        process = context.Process(target=run_cell, args=(cell, self.photos, self.work, output))
        process.start()
        self._running[cell.key] = (process, time.monotonic())

    def _collect(self, left: int) -> None:
        """Reports cells that have ended."""
        for key, (process, started) in list(self._running.items()):
            if process.exitcode is None:
                continue
            del self._running[key]
            if process.exitcode:
                self._failed.add(key)
                log = folder_of(all_cells()[key], self.work) / 'log.txt'
                self.say(f'{key} failed; its log: {log}')
            else:
                waiting = left + len(self._running)
                self.say(f'{key}: {time.monotonic() - started:.0f} s; {waiting} cells left')

    def _stop(self) -> None:
        for key, (process, _) in self._running.items():
            process.terminate()
            process.join()
            self.say(f'{key}: stopped; continues next time')
        self._running.clear()
