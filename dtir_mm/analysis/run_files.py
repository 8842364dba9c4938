"""Reads what runs wrote: curves, logs, results of tests and matched time steps."""

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dtir_mm.analysis.run_logs import RunLog, read_logs
from dtir_mm.engine.checkpoint import checkpoints_in, iteration_of
from dtir_mm.engine.hooks.incremental_task_scheduler_hook import TABLE_FILE
from dtir_mm.engine.task_schedule import TaskSchedule
from dtir_mm.evaluation.restoration_metric import FIGURES
from dtir_mm.json_files import parse_json, read_json
from dtir_mm.matching.timestep_match import TimestepMatch
from dtir_mm.matching.timesteps_file import read_matches

Series = list[tuple[int, float]]
_MOST = 10**15  # larger numbers are not of a run


@dataclass(frozen=True)
class Forgetting:
    """PSNR of every task at the end of the stages of incremental training.

    Args:
        order: the tasks, in order of joining.
        stages: for each stage that ended, the tasks joined so far, and every task's PSNR.
    """

    order: tuple[str, ...]
    stages: list[tuple[tuple[str, ...], dict[str, float]]]


@dataclass(frozen=True)
class Training:
    """What training wrote to its work directory.

    Args:
        name: of the work directory, below the folder that all runs lie in.
        series: iterations and values of each logged name, such as "content" or "psnr".
        forgetting: the table of incremental training, if any.
        log: messages, environment and config.
        saved: updates of the newest checkpoint; 0 if there is none.
    """

    name: str
    series: dict[str, Series]
    forgetting: Forgetting | None
    log: RunLog
    saved: int

    @property
    def updates(self) -> int:
        """The updates that were done, as far as logs and checkpoints tell."""
        return max([self.saved, *(points[-1][0] for points in self.series.values())])

    @property
    def tasks(self) -> tuple[str, ...]:
        """The validated tasks; none in pre-training."""
        names = (name.split('/') for name in self.series if name.endswith('/psnr'))
        return tuple(sorted({task for task, *_ in names}))


@dataclass(frozen=True)
class Evaluation:
    """What ``dtir-mm test`` wrote to its output folder.

    Args:
        name: of the folder, below the folder that all runs lie in.
        folder: with images.csv and summary.json.
        summary: see ``write_summary``.
        rows: by method, those of ``RestorationMetric``; a blind test is a second method.
        log: messages, environment and config.
    """

    name: str
    folder: Path
    summary: dict[str, Any]
    rows: dict[str, list[dict[str, Any]]]
    log: RunLog

    @property
    def method(self) -> str:
        """The name that ``--method`` gave the tested weights."""
        return next(iter(self.rows))

    @property
    def groups(self) -> list[tuple[str, str]]:
        """The tested tasks and domains."""
        return list(dict.fromkeys((row['task'], row['domain']) for row in self.rows[self.method]))


@dataclass(frozen=True)
class RunFiles:
    """Everything found in some folders; ``matches`` is by file name, then by task."""

    trainings: list[Training] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    matches: dict[str, dict[str, TimestepMatch]] = field(default_factory=dict)


def read_runs(folders: Sequence[str | Path]) -> RunFiles:
    """Reads all runs, tests and ``timesteps*.json`` in folders and their sub-folders.

    Raises:
        FileNotFoundError: there is no such folder.
        NotADirectoryError: it is a file.
        ValueError: a folder has no results, or a file is damaged; the message names it.
    """
    roots = [Path(folder).resolve() for folder in folders]
    shared = Path(os.path.commonpath(roots))
    found = RunFiles()
    seen: set[Path] = set()
    for given, root in zip(folders, roots, strict=True):
        if root.is_file():
            raise NotADirectoryError(f'{given} is a file, not a folder of results: name its folder')
        if not root.is_dir():
            raise FileNotFoundError(f'no such folder of results: {given}')
        paths = list(_result_files(root))
        if not paths:
            raise ValueError(
                f'{given} has no results: neither those of dtir-mm train ({_SCALARS}), nor of '
                f'dtir-mm test (images.csv), nor of dtir-mm match (timesteps*.json)'
            )
        for path in paths:
            if path not in seen:
                seen.add(path)
                name = _folder_of(path).relative_to(shared)
                _read_into(found, path, str(name) if name.parts else shared.name)
    return found


_SCALARS = 'vis_data/scalars.json'


def _result_files(root: Path) -> Iterator[Path]:
    """One file for each result: the first curves of a run, the table of a test, the matches."""
    runs = set()
    for path in sorted(root.rglob('*')):
        if path.name == 'scalars.json' and path.parent.name == 'vis_data':
            if _folder_of(path) not in runs:
                runs.add(_folder_of(path))
                yield path
        elif path.name == 'images.csv' or path.match('timesteps*.json'):
            yield path


def _folder_of(path: Path) -> Path:
    """The work directory, or output folder, that a file of results belongs to."""
    return path.parents[2] if path.name == 'scalars.json' else path.parent


def _read_into(found: RunFiles, path: Path, name: str) -> None:
    if path.name == 'images.csv':
        found.evaluations.append(_read_evaluation(path.parent, name))
    elif path.name == 'scalars.json':
        found.trainings.append(_read_training(path.parents[2], name))
    else:
        matches = read_matches(path)
        found.matches[str(Path(name) / path.name)] = {
            task: _match_of(match) for task, match in matches.items()
        }


def _match_of(entry: dict[str, Any]) -> TimestepMatch:
    """An entry of a file of time steps; one that was added by hand may only have t_mat."""
    t = entry['t_mat']
    bare = TimestepMatch(t, (t, t), t, 1.0, 'given', 'given', [], 0)
    return TimestepMatch.from_json(bare.to_json() | entry)


def _read_training(folder: Path, name: str) -> Training:
    table = folder / TABLE_FILE
    return Training(
        name,
        read_series(folder),
        read_forgetting(table) if table.is_file() else None,
        read_logs(folder),
        max(map(iteration_of, checkpoints_in(folder)), default=0),
    )


def read_series(folder: Path) -> dict[str, Series]:
    """The logged numbers of a run by name, in order of iterations.

    What a resumed run, or another one in the same folder, repeats replaces what was there.
    """
    series: dict[str, dict[int, float]] = {}
    trained = 0
    for at, record in _records(sorted(folder.glob(f'*/{_SCALARS}'))):
        if 'lr' in record:  # of training: only these are in order, unless a session has begun
            if at <= trained:
                for points in series.values():
                    for later in [iteration for iteration in points if iteration >= at]:
                        del points[later]
            trained = at
        for name in record.keys() - {'iter', 'step'}:
            value = record[name]
            if isinstance(value, (int, float)) and -_MOST < value < _MOST:  # nan is not, either
                series.setdefault(name, {})[at] = value
    return {name: sorted(points.items()) for name, points in sorted(series.items()) if points}


def _records(paths: Sequence[Path]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of files scalars.json with their iterations."""
    for path in paths:
        at = 0
        try:
            lines = path.read_text(encoding='utf-8').split('\n')
        except UnicodeDecodeError as error:
            raise ValueError(f'{path} is not a file of mmengine: {error}') from error
        for number, line in enumerate(lines[:-1], 1):  # an unfinished last line has no end
            record = parse_json(line, f'line {number} of {path}')
            if not isinstance(record, dict):
                raise ValueError(f'line {number} of {path} is not a JSON object of numbers')
            # mmengine may count validations in epochs, which stay 0 if training counts updates.
            at = record.get('iter') or record.get('step') or at
            if type(at) is not int or not 0 <= at < _MOST:
                raise ValueError(f'line {number} of {path} has no iteration: {at!r:.40}')
            yield at, record


def read_forgetting(path: str | Path) -> Forgetting:
    """The table of forgetting that incremental training keeps in its work directory."""
    content = read_json(path)
    try:
        order, rows = tuple(content['order']), {r['iter']: r['psnr'] for r in content['rows']}
        # Files of earlier versions do not have it; in those of finished runs, it is the last row's.
        schedule = TaskSchedule(order, content['data'], content.get('max_iters', max(rows)))
        joined = [(schedule.joined(at - 1), psnr) for at, psnr in sorted(rows.items())]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is not a table of forgetting: {error!r}') from error
    return Forgetting(order, joined)


def _read_evaluation(folder: Path, name: str) -> Evaluation:
    path = folder / 'summary.json'
    if not path.is_file():
        raise ValueError(f'{folder} has images.csv, but no summary.json: repeat the test')
    summary = read_json(path)
    try:
        counts = {(row['method'], row['task'], row['domain']): row['n'] for row in summary['rows']}
        [Path(image) for image in summary['images']]
        summary['protocol']
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{path} is not what this version of dtir-mm test writes: repeat the test'
        ) from error
    names = [method for method in dict.fromkeys(method for method, *_ in counts)
             if method != 'input']  # fmt: skip
    if not names:
        raise ValueError(f'{path} has no rows of a method')
    rows = {}
    for method, file in zip(names, ('images.csv', 'images_blind.csv'), strict=False):
        rows[method] = read_image_rows(folder / file)
        found = Counter((method, row['task'], row['domain']) for row in rows[method])
        if found != {key: n for key, n in counts.items() if key[0] == method}:
            raise ValueError(
                f'{folder / file} has {found.total()} images, which are not those of {path}: '
                f'repeat the test'
            )
    return Evaluation(name, folder, summary, rows, read_logs(folder))


def read_image_rows(path: str | Path) -> list[dict[str, Any]]:
    """The rows that ``write_rows_csv`` wrote; LPIPS is None if it was not measured.

    Raises:
        ValueError: it is not such a table, or is damaged; the message names the file, and the line.
    """
    try:
        with open(path, newline='', encoding='utf-8') as file:
            lines = file.readlines()
        table = csv.DictReader(lines)
        rows = [_image_row(row) for row in table]
        if lines and not lines[-1].endswith('\n'):
            raise ValueError('it has no end')
    except (KeyError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is not a table of images of dtir-mm test: {error}') from error
    except (csv.Error, ValueError) as error:
        place = f'line {table.reader.line_num} of {path}'
        raise ValueError(f'{place} is damaged ({error}): repeat the test') from error
    return rows


def _image_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of text with its numbers."""
    if None in row.values():
        raise ValueError('it is cut off')
    figures = [*FIGURES, *(f'input_{name}' for name in FIGURES)]
    return row | {name: _figure(row, name) for name in figures} | {'t': int(row['t'])}


def _figure(row: dict[str, Any], name: str) -> float | None:
    """A figure of an image; LPIPS may not have been measured."""
    return None if name.endswith('lpips') and row[name] == '' else float(row[name])
